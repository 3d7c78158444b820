import type { Command } from 'commander';
import { dataDirOf } from '@drawbridge/runtime/data-dir';
import { clientFor, connect, findAccess } from '../access.ts';
import { Contexts, LOCAL_CONTEXT } from '../contexts.ts';
import { describeCommand } from '../describe-command.ts';
import { endSession } from '../end-session.ts';
import { UsageError } from '../exit-codes.ts';
import { line, print } from '../output.ts';
import type { JsonOption } from '../output.ts';

interface LogoutOptions extends JsonOption {
  readonly context?: string;
  readonly everywhere?: boolean;
  readonly session?: string;
}

export function defineLogout(command: Command): void {
  describeCommand(command, {
    does: 'Ends the session that "login" made and forgets its token. The context stays for the next login.',
    examples: ['logout', 'logout --context lab', 'logout --everywhere', 'logout --session 9f86d081884c7d65'],
    json: 'document',
  })
    .option('--everywhere', 'end all your sessions, in browsers too; API tokens stay')
    .option('--session <sign-in>', 'end this one of your sessions instead (see "whoami --sessions")')
    .action(async (options: LogoutOptions) => {
      const { everywhere, session } = options;
      if (everywhere === true && session !== undefined)
        throw new UsageError('give --everywhere or --session, not both');
      if (everywhere === true) await logoutEverywhere(options);
      else if (session === undefined) await logout(options);
      else await endOther(session, options);
    });
}

async function logout(options: LogoutOptions): Promise<void> {
  const contexts = await Contexts.open(dataDirOf(undefined, process.env));
  const context = options.context === undefined ? contexts.current : contexts.get(options.context);
  if (context === undefined) throw new UsageError('not signed in to any control plane');
  // Forgotten first: whoever signs out must not stay signed in because nobody answers.
  await contexts.forgetToken(context.name);
  await endSession(context, process.env);
  print({ context: context.name, url: context.url, signed_out: true }, options, () =>
    line(`signed out of ${context.url}`),
  );
}

async function logoutEverywhere(options: LogoutOptions): Promise<void> {
  const access = await findAccess(options, process.env);
  const { url, context } = access;
  // Forgotten last: without the token nobody can end the others any more.
  await clientFor(access).sessions.endAll();
  if (context !== null && context !== LOCAL_CONTEXT) {
    await (await Contexts.open(dataDirOf(undefined, process.env))).forgetToken(context);
  }
  print({ context, url, signed_out: true }, options, () => line(`signed out of ${url} everywhere`));
}

async function endOther(session: string, options: LogoutOptions): Promise<void> {
  await (await connect(options)).sessions.end(session);
  print({ session, signed_out: true }, options, () => line(`ended the session ${session}`));
}
