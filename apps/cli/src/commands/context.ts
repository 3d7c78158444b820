import type { Command } from 'commander';
import { dataDirOf } from '@drawbridge/runtime/data-dir';
import { Contexts } from '../contexts.ts';
import type { Context } from '../contexts.ts';
import { describeCommand } from '../describe-command.ts';
import { endSession } from '../end-session.ts';
import { line, print, printAll } from '../output.ts';
import type { JsonOption } from '../output.ts';
import { table } from '../table.ts';

export function defineContext(group: Command): void {
  group.description(
    'The control planes you signed in to. "local" is the one that "drawbridge up" runs on this machine.',
  );
  describeCommand(group.command('ls'), {
    does: 'Lists the control planes you signed in to.',
    examples: ['context ls'],
    json: 'lines',
    isRemote: false,
  }).action(async (options: JsonOption) => {
    const contexts = await open();
    const items = contexts.all.map((context) => viewOf(context, contexts.currentName));
    printAll(items, options, () => listOf(items));
  });
  describeCommand(group.command('use'), {
    does: 'Makes a control plane the one that commands ask from now on.',
    examples: ['context use lab', 'context use local'],
    json: 'document',
    isRemote: false,
  })
    .argument('<context>', 'name of the context')
    .action(async (name: string, options: JsonOption) => {
      await (await open()).use(name);
      print({ context: name, current: true }, options, () => line(`using ${name}`));
    });
  describeCommand(group.command('rm'), {
    does: 'Forgets a control plane. A session that "login" made is ended.',
    examples: ['context rm lab'],
    json: 'document',
    isRemote: false,
  })
    .argument('<context>', 'name of the context')
    .action(async (name: string, options: JsonOption) => {
      const contexts = await open();
      const context = contexts.get(name);
      await contexts.remove(name);
      await endSession(context, process.env);
      print({ context: name, removed: true }, options, () => line(`forgot ${name}`));
    });
}

function open(): Promise<Contexts> {
  return Contexts.open(dataDirOf(undefined, process.env));
}

/** A context without its token. */
function viewOf({ name, url, user, token, expires_at: expiresAt }: Context, currentName: string | null) {
  return { name, url, user, current: name === currentName, signed_in: token !== null, expires_at: expiresAt };
}

function listOf(items: readonly ReturnType<typeof viewOf>[]): string {
  if (items.length === 0) return 'none yet: drawbridge login https://control.example.com\n';
  return table(
    [
      { header: 'CURRENT', cell: ({ current }) => (current ? '*' : '') },
      { header: 'CONTEXT', cell: ({ name }) => name, isWhole: true },
      { header: 'CONTROL PLANE', cell: ({ url }) => url },
      { header: 'USER', cell: (item) => (item.signed_in ? (item.user ?? '') : 'signed out') },
    ],
    items,
  );
}
