import { stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, isAbsolute, join } from 'node:path';
import { ControlError } from '@drawbridge/protocol';
import type { NewSession } from '@drawbridge/protocol';
import { findBinary } from '../providers/find-binary.ts';
import { SESSION_ID_VARIABLE } from '../tasks/environment.ts';

/** What is started, where, and with which variables. */
export interface ResolvedCommand {
  readonly argv: readonly [string, ...string[]];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** As it would be typed. */
  readonly text: string;
}

/** What the machine has to say: the environment of the agent, already without what is its own. */
export interface CommandContext {
  readonly sessionId: string;
  /** `sessions.shell` of agent.yaml: a path or a name; `auto` takes the user's own. */
  readonly shell: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Shells of a user who has none, the first that is there. */
const SHELLS = ['bash', 'zsh', 'sh'];
/** Those that read the profile when they are told so: an agent that is a service has had no login. */
const LOGIN_SHELLS: ReadonlySet<string> = new Set(['bash', 'zsh', 'sh', 'dash', 'ksh', 'fish']);
const COMMAND_CHARACTERS_MAX = 256;

/** Makes sure of what the system would only tell on the terminal. Throws ControlError `spawn_failed` or `invalid_request`. */
export async function resolveCommand(spec: NewSession, context: CommandContext): Promise<ResolvedCommand> {
  const home = context.env['HOME'] ?? homedir();
  const env = {
    ...context.env,
    ...(spec.mode === 'pty' ? { TERM: 'xterm-256color' } : {}),
    ...spec.env,
    [SESSION_ID_VARIABLE]: context.sessionId,
  };
  const cwd = await directory(spec.cwd ?? '~', home);
  const { command } = spec;
  if (Array.isArray(command)) {
    const [program, ...args] = command;
    return { argv: [await binary(program, env), ...args], cwd, env, text: shown(command.map(quoted).join(' ')) };
  }
  const shell = await findShell(context.shell, env);
  if (command !== undefined) return { argv: [shell, '-c', command], cwd, env, text: shown(command) };
  const isLogin = spec.mode === 'pty' && LOGIN_SHELLS.has(basename(shell));
  return { argv: isLogin ? [shell, '-l'] : [shell], cwd, env, text: shown(shell) };
}

async function findShell(wanted: string, env: Readonly<Record<string, string>>): Promise<string> {
  if (wanted !== 'auto') return binary(wanted, env);
  const candidates = [env['SHELL'] ?? '', ...SHELLS].filter((name) => name !== '');
  for (const name of candidates) {
    const path = await binary(name, env).catch(() => undefined);
    if (path !== undefined) return path;
  }
  throw new ControlError('spawn_failed', `no shell is there: none of ${candidates.join(', ')}`);
}

async function binary(name: string, env: Readonly<Record<string, string>>): Promise<string> {
  try {
    return await findBinary(name, env['PATH']);
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    throw new ControlError('spawn_failed', error.message, { cause: error });
  }
}

async function directory(path: string, home: string): Promise<string> {
  const absolute = path === '~' ? home : path.startsWith('~/') ? join(home, path.slice(2)) : path;
  if (!isAbsolute(absolute)) throw new ControlError('invalid_request', `cwd: ${path} is not an absolute path`);
  const found = await stat(absolute).catch(() => undefined);
  if (found === undefined) throw new ControlError('invalid_request', `cwd: there is no ${absolute}`);
  if (!found.isDirectory()) throw new ControlError('invalid_request', `cwd: ${absolute} is no directory`);
  return absolute;
}

function quoted(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", `'\\''`)}'`;
}

function shown(text: string): string {
  return text.length <= COMMAND_CHARACTERS_MAX ? text : `${text.slice(0, COMMAND_CHARACTERS_MAX - 1)}…`;
}
