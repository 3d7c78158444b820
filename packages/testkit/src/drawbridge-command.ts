import { fileURLToPath } from 'node:url';
import type { Command } from './test-process.ts';

/** How to start the program under test. */
export interface DrawbridgeOptions {
  /** Added to an environment that holds nothing of ours. */
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly cwd?: string | undefined;
  /** The system's name of a network namespace to run in. */
  readonly namespace?: string | undefined;
  /** The program; the repository's own `bin/drawbridge` unless a test brings another. */
  readonly binary?: string | undefined;
}

const BINARY = fileURLToPath(new URL('../../../bin/drawbridge', import.meta.url));

/** `drawbridge …`, as a user starts it. */
export function drawbridge(args: readonly string[], options: DrawbridgeOptions): Command {
  const { binary = BINARY, env, cwd, namespace } = options;
  return { command: process.execPath, args: [binary, ...args], env: { ...cleanEnv(), ...env }, cwd, namespace };
}

/** What would change the program under test: its own settings, a proxy of this machine, and the test runner's traces. */
const FOREIGN = /^(DRAWBRIDGE_|VITEST|NODE_|TEST$|DEV$|PROD$|SSR$|MODE$|BASE_URL$|(https?|all|no)_proxy$)/i;

function cleanEnv(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !FOREIGN.test(name));
  return { ...Object.fromEntries(kept), NO_COLOR: '1' };
}
