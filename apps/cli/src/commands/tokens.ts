import { systemClock } from '@drawbridge/link/clock';
import type { TokenView, Verb } from '@drawbridge/protocol/api';
import type { Command } from 'commander';
import { connect } from '../access.ts';
import type { AccessOptions } from '../access.ts';
import { describeCommand } from '../describe-command.ts';
import { parseDuration } from '../durations.ts';
import { UsageError } from '../exit-codes.ts';
import { expiryText } from '../expiry.ts';
import { ago, line, note, print, printAll } from '../output.ts';
import type { JsonOption } from '../output.ts';
import { collectVerbs } from '../repeatable.ts';
import { table } from '../table.ts';
import type { Column } from '../table.ts';

type Common = JsonOption & AccessOptions;

interface CreateOptions extends Common {
  readonly verb?: readonly Verb[];
  readonly allVerbs?: boolean;
  readonly selector?: string;
  readonly expires: string;
}

/** `tokens`: what programs sign in with. */
export function defineTokens(group: Command): void {
  group.description('API tokens, which programs sign in with. Each is shown once.');
  describeCommand(group.command('ls'), {
    does: 'Lists your API tokens, without their secrets.',
    examples: ['tokens ls', 'tokens ls --all'],
    json: 'lines',
  })
    .option('--all', "everybody's, for those who look after users")
    .action(listTokens);
  describeCommand(group.command('create'), {
    does: 'Makes an API token and prints it, this once. It can never do more than you.',
    examples: [
      'tokens create ci --verb agent.read --verb task.run --verb task.read --expires 30d -l env=dev',
      'tokens create laptop --all-verbs --expires 8h',
    ],
    json: 'document',
  })
    .argument('<name>', 'what it is for: letters, digits, . _ -')
    .option('--verb <verb>', 'what it may be used for, such as task.run; may be given again', collectVerbs)
    .option('--all-verbs', 'whatever you may do')
    .option('-l, --selector <selector>', 'only on agents with these labels (k=v,…)')
    .requiredOption('--expires <duration>', 'how long it works: 8h, 30d, 366d at most')
    .action(createToken);
  describeCommand(group.command('rm'), {
    does: 'Revokes an API token: what it has open is closed within a second.',
    examples: ['tokens rm 01a1fe6b-4ad7-73ce-bd40-b474a2723683'],
    json: 'document',
  })
    .argument('<token>', 'id of the token')
    .action(async (id: string, options: Common) => {
      await (await connect(options)).tokens.revoke(id);
      print({ id, revoked: true }, options, () => line(`revoked ${id}`));
    });
}

async function listTokens({ all = false, ...options }: Common & { readonly all?: boolean }): Promise<void> {
  const client = await connect(options);
  const items = await client.tokens.list({ all });
  if (options.json === true || !all) {
    printAll(items, options, () => table(columnsOf(), items));
    return;
  }
  const names = new Map((await client.users.list()).map(({ id, name }) => [id, name]));
  printAll(items, options, () => table(columnsOf(names), items));
}

async function createToken(name: string, options: CreateOptions): Promise<void> {
  const { verb, allVerbs = false, selector, expires } = options;
  if ((verb === undefined) !== allVerbs) {
    throw new UsageError('what may it be used for? give --verb for each thing, or --all-verbs');
  }
  const expiresInSeconds = parseDuration(expires);
  const wanted = { name, verbs: verb ?? ('all' as const), selector, expiresInSeconds };
  const made = await (await connect(options)).tokens.create(wanted);
  if (options.json !== true) note(`This is shown once, and works until ${made.expires_at ?? 'it is revoked'}:`);
  // The token alone on standard output, so that a script can keep it.
  print(made, options, ({ token }) => line(token));
}

/** With the names of users, also whose each is. */
function columnsOf(userNames?: ReadonlyMap<string, string>): readonly Column<TokenView>[] {
  const nowMs = systemClock.now();
  const owner: Column<TokenView> = { header: 'OWNER', cell: ({ user_id: id }) => userNames?.get(id) ?? id };
  return [
    { header: 'TOKEN', cell: ({ id }) => id, isWhole: true },
    { header: 'NAME', cell: ({ name }) => name },
    ...(userNames === undefined ? [] : [owner]),
    { header: 'VERBS', cell: ({ verbs }) => verbs?.join(' ') ?? 'all', isExtra: true },
    { header: 'AGENTS', cell: ({ selector }) => selector || 'all', isExtra: true },
    {
      header: 'EXPIRES',
      cell: (token) => (token.revoked ? 'revoked' : expiryText(token.expires_at, nowMs)),
      colour: ({ revoked }) => (revoked ? 'dim' : undefined),
      isWhole: true,
    },
    { header: 'LAST USED', cell: (token) => ago(token.last_used_at, nowMs), isWhole: true },
  ];
}
