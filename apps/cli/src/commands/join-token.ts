import type { Command } from 'commander';
import { connect } from '../access.ts';
import { parseDuration } from '../durations.ts';
import { UsageError } from '../exit-codes.ts';
import { printJson, table } from '../output.ts';

interface CreateOptions {
  readonly ttl: string;
  readonly uses: string;
  readonly label: readonly string[];
  readonly json?: boolean;
}

export function addJoinToken(program: Command): void {
  const tokens = program
    .command('join-token')
    .summary('make and revoke the tokens that machines enrol with')
    .description('Tokens that let a machine enrol. Each is shown once.');
  tokens
    .command('create')
    .description('Makes a join token and prints how to use it.')
    .option('--ttl <duration>', 'how long it works (24h at most)', '1h')
    .option('--uses <n>', 'how many machines may use it', '1')
    .option(
      '--label <k=v>',
      'bind agents to this label; may be given again',
      (value: string, all: readonly string[]) => [...all, value],
      [],
    )
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample:\n  drawbridge join-token create --ttl 10m --label site=lab')
    .action(async (options: CreateOptions) => {
      const issued = await (
        await connect()
      ).createJoinToken({
        ttlSeconds: parseDuration(options.ttl),
        uses: Number(options.uses),
        labels: Object.fromEntries(options.label.map(parseLabel)),
      });
      if (options.json === true) return printJson(issued);
      process.stdout.write(
        `On the machine, until ${issued.expires_at}:\n\n  drawbridge agent enroll ${issued.url} --token ${issued.token}\n  drawbridge agent\n\n`,
      );
    });
  tokens
    .command('ls')
    .description('Lists join tokens, without their secrets.')
    .option('--json', 'one JSON document per line')
    .addHelpText('after', '\nExample:\n  drawbridge join-token ls')
    .action(async (options: { json?: boolean }) => {
      const items = await (await connect()).listJoinTokens();
      if (options.json === true) return items.forEach(printJson);
      const rows = items.map((token) => [
        token.id,
        `${token.uses_left}/${token.uses}`,
        token.revoked ? 'revoked' : token.expires_at,
      ]);
      process.stdout.write(table(['TOKEN', 'USES LEFT', 'EXPIRES'], rows));
    });
  tokens
    .command('rm')
    .description('Revokes a join token.')
    .argument('<id>', 'id of the token')
    .addHelpText('after', '\nExample:\n  drawbridge join-token rm 01a1fe6b-4ad7-73ce-bd40-b474a2723683')
    .action(async (id: string) => {
      await (await connect()).revokeJoinToken(id);
      process.stdout.write(`revoked ${id}\n`);
    });
}

function parseLabel(text: string): [string, string] {
  const index = text.indexOf('=');
  if (index < 1) throw new UsageError(`--label ${text}: expected key=value`);
  return [text.slice(0, index), text.slice(index + 1)];
}
