import { randomUUID } from 'node:crypto';
import { systemClock } from '@drawbridge/link/clock';
import type { Command } from 'commander';
import { clientFor, findAccess } from '../access.ts';
import type { AccessOptions } from '../access.ts';
import { describeCommand } from '../describe-command.ts';
import { UsageError } from '../exit-codes.ts';
import { collect } from '../repeatable.ts';

interface ShellOptions extends AccessOptions {
  readonly session?: string;
  readonly takeover?: boolean;
  readonly cwd?: string;
  readonly env?: readonly string[];
}

export function defineShell(command: Command): void {
  describeCommand(command, {
    does: "Opens a terminal on an agent: its shell, or a command. It survives lost connections and restarts; nobody's end of it ends it.",
    examples: [
      'shell build-1',
      'shell build-1 -- htop',
      'shell build-1 --session 4b9f2c1e-0d37-4c58-9a55-0e1c3a3f7b10',
    ],
    json: 'none',
  })
    .usage('[options] <agent> [-- cmd…]')
    .argument('<agent>', 'id or name')
    .argument('[cmd...]', 'what to run there instead of a shell')
    .option('--session <session>', 'go back to this session (see "drawbridge sessions ls")')
    .option('--takeover', 'take the place of who is attached to it')
    .option('--cwd <directory>', 'where it begins; by default in the home directory')
    .option('--env <name=value>', 'a variable of its environment; may be repeated', collect)
    .addHelpText(
      'after',
      '\nAt the beginning of a line, ~. leaves the session as it is, and ~? shows what else there is.',
    )
    .action(async (agent: string, words: readonly string[], options: ShellOptions) => {
      const wanted = wantedSession(words, options);
      const access = await findAccess(options, process.env);
      const [{ dialTunnelFor }, { patiently }, { runShell }, { isTerminal, sizeOf }] = await Promise.all([
        import('../dial-tunnel.ts'),
        import('../patiently.ts'),
        import('../shell/run-shell.ts'),
        import('../shell/local-terminal.ts'),
      ]);
      const { agentSessions } = clientFor(access);
      const terminal = { input: process.stdin, output: process.stdout };
      const mode = isTerminal(terminal) ? 'pty' : 'pipe';
      const tunnel = { dial: dialTunnelFor(access) };
      const key = randomUUID();
      process.exitCode = await runShell({
        agent,
        terminal,
        attach: async (how, signal) => {
          const begin = () => agentSessions.create(agent, { ...wanted, mode, ...sizeOf(terminal) }, key, signal);
          const begun = wanted && (await patiently(begin, systemClock, signal));
          const sessionId = begun?.session_id ?? options.session ?? '';
          const { takeover } = options;
          const attach = () => agentSessions.attach(agent, sessionId, { ...how, takeover, tunnel }, signal);
          return patiently(attach, systemClock, signal);
        },
      });
    });
}

/** Undefined when there is one to go back to. */
function wantedSession(words: readonly string[], { session, cwd, env }: ShellOptions) {
  if (session === undefined) {
    const [program, ...args] = words;
    return {
      ...(program !== undefined && { command: [program, ...args] as [string, ...string[]] }),
      ...(cwd !== undefined && { cwd }),
      ...(env !== undefined && { env: Object.fromEntries(env.map(parseVariable)) }),
    };
  }
  if (words.length > 0 || cwd !== undefined || env !== undefined)
    throw new UsageError('--session goes back to what runs already: it takes no command, --cwd or --env');
  return undefined;
}

function parseVariable(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at < 1) throw new UsageError(`--env ${text}: expected NAME=VALUE`);
  return [text.slice(0, at), text.slice(at + 1)];
}
