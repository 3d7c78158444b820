import { systemClock } from '@drawbridge/link/clock';
import type { UserView } from '@drawbridge/protocol/api';
import type { Command } from 'commander';
import { connect } from '../access.ts';
import type { AccessOptions } from '../access.ts';
import { readSecret } from '../ask.ts';
import { describeCommand } from '../describe-command.ts';
import { UsageError } from '../exit-codes.ts';
import { ago, line, print, printAll } from '../output.ts';
import type { JsonOption } from '../output.ts';
import { collect } from '../repeatable.ts';
import { parseRole, rolesText } from '../role-bindings.ts';
import { facts, table } from '../table.ts';
import type { Column } from '../table.ts';

type Common = JsonOption & AccessOptions;

interface CreateOptions extends Common {
  readonly role?: readonly string[];
  readonly passwordStdin?: boolean;
}

interface SetOptions extends CreateOptions {
  readonly name?: string;
  /** False with `--no-roles`. */
  readonly roles: boolean;
  readonly disable?: boolean;
  readonly enable?: boolean;
}

const ID_OR_NAME = 'id or name of the user';
const ROLE = 'role, or role:selector for some agents (operator:env=dev); may be given again';

/** `users`: people, what roles they have, and how they get in. */
export function defineUsers(group: Command): void {
  group.description('People: their roles, and how they get in.');
  describeCommand(group.command('ls'), { does: 'Lists users.', examples: ['users ls'], json: 'lines' }).action(
    async (options: Common) => {
      const items = await (await connect(options)).users.list();
      printAll(items, options, () => table(COLUMNS, items));
    },
  );
  describeCommand(group.command('show'), { does: 'Shows a user.', examples: ['users show ann'], json: 'document' })
    .argument('<user>', ID_OR_NAME)
    .action(async (user: string, options: Common) => {
      print(await (await connect(options)).users.get(user), options, (view) => facts(factsOf(view)));
    });
  describeCommand(group.command('create'), {
    does: 'Makes a user. "users link" prints a link with which they sign in and choose a password.',
    examples: ['users create ann --role viewer --role operator:env=dev,site=lab', 'users create bob --password-stdin'],
    json: 'document',
  })
    .argument('<name>', 'letters, digits, . _ -')
    .option('--role <role>', ROLE, collect)
    .option('--password-stdin', 'read a first password from standard input')
    .action(createUser);
  describeCommand(group.command('set'), {
    does: 'Changes a user. It takes effect within a second, on open connections too.',
    examples: ['users set ann --role viewer --role operator:site=lab', 'users set ann --disable'],
    json: 'document',
  })
    .argument('<user>', ID_OR_NAME)
    .option('--name <name>', 'another name')
    .option('--role <role>', `in place of all the roles they have: ${ROLE}`, collect)
    .option('--no-roles', 'take all roles away')
    .option('--disable', 'let them in no more, and sign them out everywhere')
    .option('--enable', 'let them in again')
    .option('--password-stdin', 'read another password from standard input, and sign them out everywhere')
    .action(changeUser);
  describeCommand(group.command('rm'), {
    does: 'Removes a user, with their sessions and API tokens.',
    examples: ['users rm ann'],
    json: 'document',
  })
    .argument('<user>', ID_OR_NAME)
    .action(async (user: string, options: Common) => {
      await (await connect(options)).users.remove(user);
      print({ user, removed: true }, options, () => line(`removed ${user}`));
    });
  describeCommand(group.command('link'), {
    does: 'Prints a one-time link that signs a user in: send it to nobody else.',
    examples: ['users link ann'],
    json: 'document',
  })
    .argument('<user>', ID_OR_NAME)
    .action(async (user: string, options: Common) => {
      const url = await (await connect(options)).users.createSignInLink(user);
      print({ url }, options, () => line(url));
    });
  describeCommand(group.command('sign-out'), {
    does: 'Ends all sessions of a user. They may sign in again, and their API tokens stay.',
    examples: ['users sign-out ann'],
    json: 'document',
  })
    .argument('<user>', ID_OR_NAME)
    .action(async (user: string, options: Common) => {
      await (await connect(options)).users.signOut(user);
      print({ user, signed_out: true }, options, () => line(`signed ${user} out everywhere`));
    });
}

async function createUser(name: string, options: CreateOptions): Promise<void> {
  const roles = (options.role ?? []).map(parseRole);
  const password = await passwordOf(options);
  const made = await (await connect(options)).users.create({ name, roles, password });
  print(made, options, () => {
    const next = password === undefined ? line(`a link to sign in with: drawbridge users link ${made.name}`) : '';
    return line(`made ${summary(made)}`) + next;
  });
}

async function changeUser(user: string, options: SetOptions): Promise<void> {
  const { name, role, disable, enable } = options;
  if (disable === true && enable === true) throw new UsageError('give --disable or --enable, not both');
  if (role !== undefined && !options.roles) throw new UsageError('give --role or --no-roles, not both');
  const change = {
    name,
    roles: options.roles ? role?.map(parseRole) : [],
    disabled: disable === true ? true : enable === true ? false : undefined,
    password: await passwordOf(options),
  };
  if (Object.values(change).every((value) => value === undefined)) {
    throw new UsageError('what is to change? give --role, --name, --disable, or another option');
  }
  const changed = await (await connect(options)).users.update(user, change);
  print(changed, options, () => line(summary(changed)));
}

/** Standard input is read only when somebody asked for it. */
async function passwordOf({ passwordStdin }: CreateOptions): Promise<string | undefined> {
  return passwordStdin === true ? readSecret() : undefined;
}

function summary(user: UserView): string {
  return `${user.name}: ${rolesText(user.roles) || 'no roles'}${user.disabled ? ', disabled' : ''}`;
}

function stateOf({ disabled, has_password: hasPassword }: UserView): string {
  if (disabled) return 'disabled';
  return hasPassword ? 'enabled' : 'no password';
}

function factsOf(user: UserView): [string, string][] {
  return [
    ['name', user.name],
    ['id', user.id],
    ['roles', rolesText(user.roles) || 'none'],
    ['state', user.disabled ? 'disabled' : 'enabled'],
    ['password', user.has_password ? 'set' : 'none'],
    ['created', user.created_at],
    ['last sign-in', ago(user.last_sign_in_at, systemClock.now())],
  ];
}

const COLUMNS: readonly Column<UserView>[] = [
  { header: 'NAME', cell: ({ name }) => name, isWhole: true },
  { header: 'ROLES', cell: ({ roles }) => rolesText(roles) },
  {
    header: 'STATE',
    cell: stateOf,
    colour: ({ disabled }) => (disabled ? 'red' : undefined),
    isWhole: true,
  },
  { header: 'LAST SIGN-IN', cell: (user) => ago(user.last_sign_in_at, systemClock.now()), isWhole: true },
];
