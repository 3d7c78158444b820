import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { UsageError } from './exit-codes.ts';
import { LAUNCHER_WORDS } from './launcher.ts';

/** Whom to reach with ssh, and what else it is told. */
export interface SshCall {
  readonly agent: { readonly id: string; readonly name: string };
  readonly user: string | undefined;
  readonly words: readonly string[];
  readonly context: string | undefined;
}

/**
 * What ssh is called with. Credentials are no part of it: proxy-connect finds them as this program did. The host key belongs to
 * the agent's id, so that neither another name nor another agent of the same name is mistaken for it.
 */
export function sshArguments({ agent, user, words, context }: SshCall, program: readonly string[]): string[] {
  const contextWords = context === undefined ? [] : ['--context', context];
  const proxy = [...program, 'proxy-connect', ...contextWords, agent.id, '127.0.0.1'].map(quoted);
  const options = [
    // %p is ssh's own: the port that it was told.
    `ProxyCommand=${[...proxy, '%p'].join(' ')}`,
    `HostKeyAlias=drawbridge-${agent.id}`,
  ];
  const destination = user === undefined ? agent.name : `${user}@${agent.name}`;
  return [...options.flatMap((option) => ['-o', option]), destination, ...words];
}

/** Runs ssh with this terminal; resolves to its exit code. Throws UsageError when there is none. */
export async function runSsh(call: SshCall, env: NodeJS.ProcessEnv = process.env): Promise<number> {
  const child = spawn('ssh', sshArguments(call, LAUNCHER_WORDS), { stdio: 'inherit', env });
  // A terminal's Ctrl-C reaches ssh too, and is its to answer.
  const ignored = () => undefined;
  const passOn = (signal: NodeJS.Signals) => child.kill(signal);
  process.on('SIGINT', ignored);
  process.on('SIGTERM', passOn);
  process.on('SIGHUP', passOn);
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  child.once('error', (cause: NodeJS.ErrnoException) => reject(startError(cause)));
  child.once('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  try {
    return await promise;
  } finally {
    process.off('SIGINT', ignored);
    process.off('SIGTERM', passOn);
    process.off('SIGHUP', passOn);
  }
}

function startError(cause: NodeJS.ErrnoException): Error {
  const why = cause.code === 'ENOENT' ? 'it is not installed, or not in PATH' : (cause.code ?? cause.message);
  return new UsageError(`ssh cannot be started: ${why}`, { cause });
}

/** A word for the shell that ssh gives its ProxyCommand to; % is ssh's own sign, doubled when it is meant. */
function quoted(word: string): string {
  const literal = word.replaceAll('%', '%%');
  return /^[\w@+=:,./-]+$/.test(word) ? literal : `'${literal.replaceAll("'", String.raw`'\''`)}'`;
}
