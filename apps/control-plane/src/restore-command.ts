import { systemClock } from '@drawbridge/link';
import { ControlError } from '@drawbridge/protocol';
import { dataDirOf, parseArguments } from '@drawbridge/runtime';
import type { Restored } from './backup/restore.ts';
import { restore } from './backup/restore.ts';
import { loadServerConfig } from './config.ts';

const RESTORE_USAGE = `Usage: drawbridge server restore [options] FILE

Puts a backup back that "drawbridge server backup" has made, on either database. No control plane may run on it meanwhile.
The data directory must hold the secret.key and the server-identity.json that belong to the backup.

Options:
  --config FILE       drawbridge.yaml
  --data DIR          where state is kept (default: DRAWBRIDGE_DATA, or ~/.local/share/drawbridge)
  --force             replace what is in the store; without it, only an empty one is filled
  --json              answer as JSON
  --help              this text

Example:
  drawbridge server restore --data /var/lib/drawbridge drawbridge.backup
`;

/** `drawbridge server restore`. Resolves to the exit code; rejects with ControlError, having changed nothing. */
export async function restoreCommand(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const { values, positionals } = parse(args);
  if (values.help === true) {
    process.stdout.write(RESTORE_USAGE);
    return 0;
  }
  const [file, ...more] = positionals;
  if (file === undefined || more.length > 0) throw new ControlError('invalid_request', 'restore: name one FILE');
  const config = loadServerConfig({ ...(values.config === undefined ? {} : { file: values.config }), env });
  const restored = await restore({
    file,
    location: config.store,
    dataDir: dataDirOf(values.data, env),
    isForced: values.force === true,
    clock: systemClock,
  });
  process.stdout.write(values.json === true ? `${JSON.stringify(asJson(restored))}\n` : asText(restored));
  return 0;
}

function parse(args: readonly string[]) {
  return parseArguments({
    args,
    allowPositionals: true,
    options: {
      config: { type: 'string' },
      data: { type: 'string' },
      force: { type: 'boolean' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
}

function asJson({ header, rows, settled }: Restored) {
  return {
    created_at: header.created_at,
    server_id: header.server_id,
    rows,
    indeterminate: { commands: settled.commands, tasks: settled.tasks, bulk_runs: settled.bulkRuns },
    sessions_ended: settled.sessions,
    join_tokens_revoked: settled.joinTokens,
  };
}

function asText({ header, rows, settled }: Restored): string {
  const { commands, tasks, bulkRuns, sessions, joinTokens } = settled;
  return [
    `restored: ${rows} rows, as of ${header.created_at}`,
    `indeterminate: ${commands} commands, ${tasks} tasks, ${bulkRuns} bulk runs that were not finished`,
    `ended: ${sessions} sign-in sessions; revoked: ${joinTokens} join tokens, which may have been used since`,
    '',
  ].join('\n');
}
