import type { Command } from 'commander';
import type { IssuedJoinToken, JoinTokenView } from '@drawbridge/client';
import { connect } from '../access.ts';
import type { AccessOptions } from '../access.ts';
import { describeCommand } from '../describe-command.ts';
import { parseDuration } from '../durations.ts';
import { UsageError } from '../exit-codes.ts';
import { parseLabel } from '../labels.ts';
import { labelText, line, plain, print, printAll } from '../output.ts';
import type { JsonOption } from '../output.ts';
import { collect } from '../repeatable.ts';
import { table } from '../table.ts';
import type { Column } from '../table.ts';

type Common = JsonOption & AccessOptions;

interface CreateOptions extends Common {
  readonly ttl: string;
  readonly uses: string;
  readonly label: readonly string[];
}

export function defineJoinToken(group: Command): void {
  group.description('Tokens that let a machine enrol. Each is shown once.');
  describeCommand(group.command('create'), {
    does: 'Makes a join token and prints how to use it.',
    examples: ['join-token create', 'join-token create --ttl 10m --uses 20 --label site=lab'],
    json: 'document',
  })
    .option('--ttl <duration>', 'how long it works (24h at most)', '1h')
    .option('--uses <n>', 'how many machines may use it', '1')
    .option('--label <k=v>', 'bind agents to this label; may be given again', collect, [])
    .action(async (options: CreateOptions) => {
      const wanted = {
        ttlSeconds: parseDuration(options.ttl),
        uses: parseUses(options.uses),
        labels: Object.fromEntries(options.label.map(parseLabel)),
      };
      print(await (await connect(options)).createJoinToken(wanted), options, howToUse);
    });
  describeCommand(group.command('ls'), {
    does: 'Lists join tokens, without their secrets.',
    examples: ['join-token ls'],
    json: 'lines',
  }).action(async (options: Common) => {
    const items = await (await connect(options)).listJoinTokens();
    printAll(items, options, () => table(COLUMNS, items));
  });
  describeCommand(group.command('rm'), {
    does: 'Revokes a join token.',
    examples: ['join-token rm 01a1fe6b-4ad7-73ce-bd40-b474a2723683'],
    json: 'document',
  })
    .argument('<join-token>', 'id of the token')
    .action(async (id: string, options: Common) => {
      await (await connect(options)).revokeJoinToken(id);
      print({ id, revoked: true }, options, () => line(`revoked ${id}`));
    });
}

const COLUMNS: readonly Column<JoinTokenView>[] = [
  { header: 'TOKEN', cell: ({ id }) => id, isWhole: true },
  { header: 'USES LEFT', cell: (token) => `${token.uses_left}/${token.uses}` },
  { header: 'LABELS', cell: ({ labels }) => labelText(labels) },
  { header: 'EXPIRES', cell: (token) => (token.revoked ? 'revoked' : token.expires_at) },
];

function howToUse({ url, token, expires_at: expiresAt }: IssuedJoinToken): string {
  const enrol = `drawbridge agent enroll ${plain(url)} --token ${plain(token)}`;
  return `On the machine, until ${plain(expiresAt)}:\n\n  ${enrol}\n  drawbridge agent\n\n`;
}

function parseUses(text: string): number {
  const uses = Number(text);
  if (!Number.isInteger(uses) || uses < 1) throw new UsageError(`--uses ${text}: write a number from 1 on`);
  return uses;
}
