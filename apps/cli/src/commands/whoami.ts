import type { Command } from 'commander';
import { systemClock } from '@drawbridge/link/clock';
import { whoAmI } from '@drawbridge/client';
import type { SessionView } from '@drawbridge/protocol/api';
import { clientFor, findAccess, httpOptionsFor } from '../access.ts';
import type { AccessOptions } from '../access.ts';
import { describeCommand } from '../describe-command.ts';
import { ago, print } from '../output.ts';
import type { JsonOption } from '../output.ts';
import { rolesText } from '../role-bindings.ts';
import { facts, table } from '../table.ts';
import type { Column } from '../table.ts';

interface WhoamiOptions extends JsonOption, AccessOptions {
  readonly sessions?: boolean;
}

export function defineWhoami(command: Command): void {
  describeCommand(command, {
    does: 'Shows which control plane is asked, in whose name, and in which roles.',
    examples: ['whoami', 'whoami --sessions'],
    json: 'document',
  })
    .option('--sessions', 'show where you are signed in, too')
    .action(async (options: WhoamiOptions) => {
      const access = await findAccess(options, process.env);
      const { kind, id, name, user_id: userId, roles } = await whoAmI(httpOptionsFor(access));
      const sessions = options.sessions === true ? await clientFor(access).sessions.list() : undefined;
      const answer = {
        url: access.url,
        context: access.context,
        kind,
        id,
        name: name ?? null,
        user_id: userId ?? null,
        roles,
        ...(sessions === undefined ? {} : { sessions }),
      };
      const who = facts([
        ['control plane', access.url],
        ['context', access.context ?? 'from the environment'],
        [kind, name ?? id],
        ['roles', rolesText(roles)],
      ]);
      print(answer, options, () => (sessions === undefined ? who : `${who}\n${table(SESSION_COLUMNS, sessions)}`));
    });
}

const SESSION_COLUMNS: readonly Column<SessionView>[] = [
  { header: 'SIGN-IN', cell: ({ id }) => id, isWhole: true },
  { header: 'WHERE', cell: ({ label, current }) => (current ? `${label} (this one)` : label) },
  { header: 'FROM', cell: ({ address }) => address ?? '' },
  { header: 'WITH', cell: ({ method }) => method, isExtra: true },
  { header: 'LAST USED', cell: (session) => ago(session.last_used_at, systemClock.now()), isWhole: true },
];
