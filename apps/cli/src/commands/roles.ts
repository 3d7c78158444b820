import type { RoleView, Verb } from '@drawbridge/protocol/api';
import type { Command } from 'commander';
import { connect } from '../access.ts';
import type { AccessOptions } from '../access.ts';
import { describeCommand } from '../describe-command.ts';
import { UsageError } from '../exit-codes.ts';
import { line, print, printAll } from '../output.ts';
import type { JsonOption } from '../output.ts';
import { collectVerbs } from '../repeatable.ts';
import { facts, table } from '../table.ts';
import type { Column } from '../table.ts';

type Common = JsonOption & AccessOptions;

interface RoleOptions extends Common {
  readonly verb?: readonly Verb[];
  readonly description?: string;
}

const VERB = 'what it lets one do, such as task.run; may be given again';

/** `roles`: verbs under a name. */
export function defineRoles(group: Command): void {
  group.description('Roles: what people may do, under a name.');
  describeCommand(group.command('ls'), { does: 'Lists roles.', examples: ['roles ls'], json: 'lines' }).action(
    async (options: Common) => {
      const items = await (await connect(options)).roles.list();
      printAll(items, options, () => table(COLUMNS, items));
    },
  );
  describeCommand(group.command('show'), {
    does: 'Shows a role with its verbs. Those of admin are all there are.',
    examples: ['roles show operator'],
    json: 'document',
  })
    .argument('<role>', 'its name')
    .action(async (role: string, options: Common) => {
      print(await (await connect(options)).roles.get(role), options, (view) => facts(factsOf(view)));
    });
  describeCommand(group.command('create'), {
    does: 'Makes a role. It lets nobody do what you may not do yourself.',
    examples: ["roles create runner --verb agent.read --verb task.run --verb task.read --description 'runs tasks'"],
    json: 'document',
  })
    .argument('<name>', 'letters, digits, . _ -')
    .requiredOption('--verb <verb>', VERB, collectVerbs)
    .option('--description <text>', 'what it is for')
    .action(async (name: string, { verb = [], description, ...options }: RoleOptions) => {
      const made = await (await connect(options)).roles.create({ name, verbs: verb, description });
      print(made, options, () => line(`made ${summary(made)}`));
    });
  describeCommand(group.command('set'), {
    does: 'Changes a role, within a second for everybody who has it. The built-in ones stay as they are.',
    examples: ['roles set runner --verb agent.read --verb task.run --verb task.read --verb task.cancel'],
    json: 'document',
  })
    .argument('<role>', 'its name')
    .option('--verb <verb>', `in place of all its verbs: ${VERB}`, collectVerbs)
    .option('--description <text>', 'what it is for')
    .action(async (role: string, { verb, description, ...options }: RoleOptions) => {
      if (verb === undefined && description === undefined) {
        throw new UsageError('what is to change? give --verb or --description');
      }
      const changed = await (await connect(options)).roles.update(role, { verbs: verb, description });
      print(changed, options, () => line(summary(changed)));
    });
  describeCommand(group.command('rm'), {
    does: 'Removes a role, from everybody who has it too.',
    examples: ['roles rm runner'],
    json: 'document',
  })
    .argument('<role>', 'its name')
    .action(async (role: string, options: Common) => {
      await (await connect(options)).roles.remove(role);
      print({ role, removed: true }, options, () => line(`removed ${role}`));
    });
}

function summary({ name, verbs }: RoleView): string {
  return `${name}: ${verbs.join(' ') || 'nothing'}`;
}

/** A line for each verb: there are more than a screen is wide. */
function factsOf({ name, description, built_in: isBuiltIn, verbs }: RoleView): [string, string][] {
  const [first = 'none', ...others] = verbs;
  return [
    ['name', name],
    ['description', description],
    ['kind', kindOf(isBuiltIn)],
    ['verbs', first],
    ...others.map((verb): [string, string] => ['', verb]),
  ];
}

function kindOf(isBuiltIn: boolean): string {
  return isBuiltIn ? 'built in' : 'custom';
}

const COLUMNS: readonly Column<RoleView>[] = [
  { header: 'NAME', cell: ({ name }) => name, isWhole: true },
  { header: 'KIND', cell: ({ built_in: isBuiltIn }) => kindOf(isBuiltIn), isWhole: true },
  { header: 'DESCRIPTION', cell: ({ description }) => description },
  { header: 'VERBS', cell: ({ verbs }) => String(verbs.length), isWhole: true },
];
