// Plain JavaScript for any Node >= 20: runs one of our TypeScript programs on Node 24.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { spareMemory } from './spare-memory.js';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));
const NODE_MAJOR_MIN = 24;

/** The repository's own Node, brought by the npm package `node`. */
export const OWN_NODE = `${ROOT}node_modules/node/bin/node`;

/**
 * Where Node keeps our sources with their types stripped: programs start in half the time and, without the stripper in
 * memory, need a fifth less of it. Children find it by the variable.
 */
const COMPILE_CACHE = `${ROOT}node_modules/.cache/compile`;

/** Two signals closer together than this are one: a terminal and npm both pass on a single Ctrl-C. */
const SAME_SIGNAL_MS = 500;

/**
 * Runs `program` (a folder of `apps/`) with `args`. On Node 24 that happens in this very process; on an older one in a
 * child on the repository's own Node, whose exit code becomes ours.
 */
export async function launch(program, args) {
  const main = `${ROOT}apps/${program}/src/main.ts`;
  if (Number.parseInt(process.versions.node, 10) >= NODE_MAJOR_MIN) {
    process.argv = [process.argv[0], main, ...args];
    // Without packages there is nowhere to keep it.
    spareMemory(program, existsSync(`${ROOT}node_modules`) ? COMPILE_CACHE : undefined);
    await import(pathToFileURL(main).href);
    return;
  }
  if (!existsSync(OWN_NODE)) {
    process.stderr.write(
      `drawbridge needs Node ${NODE_MAJOR_MIN}: run "npm install" in ${ROOT}, which brings its own\n`,
    );
    process.exitCode = 1;
    return;
  }
  // By way of the launcher again: it makes the program spare memory.
  process.exitCode = await runOwnNode([`${ROOT}bin/drawbridge`, ...args]);
}

/**
 * Runs the repository's Node with `args` and resolves to its exit code. Signals are passed on, once each. With `owned`, the
 * child lives in a process group of its own, so that a terminal's Ctrl-C reaches it through us only, and learns of our
 * death by its closing IPC channel.
 */
export function runOwnNode(args, { owned = false, env = {} } = {}) {
  const child = spawn(OWN_NODE, ['--disable-warning=ExperimentalWarning', ...args], {
    stdio: owned ? ['inherit', 'inherit', 'inherit', 'ipc'] : 'inherit',
    detached: owned,
    env: {
      NODE_COMPILE_CACHE: COMPILE_CACHE,
      ...process.env,
      ...env,
      PATH: `${ROOT}node_modules/.bin:${process.env.PATH ?? ''}`,
    },
  });
  const stop = passSignalsOn(child, owned);
  return new Promise((resolve) => {
    child.once('error', (error) => {
      process.stderr.write(`cannot start ${OWN_NODE}: ${error.message}\n`);
      resolve(1);
    });
    child.once('exit', (code, signal) => {
      stop();
      resolve(code ?? 128 + (SIGNAL_NUMBERS[signal] ?? 0));
    });
  });
}

const SIGNAL_NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGTERM: 15 };

/** An attached child hears a terminal's Ctrl-C itself; an owned one hears everything from us. */
function passSignalsOn(child, owned) {
  let lastMs = 0;
  const handlers = ['SIGINT', 'SIGTERM', 'SIGHUP'].map((signal) => {
    const handler = () => {
      const nowMs = performance.now();
      if (!owned && signal === 'SIGINT' && process.stdin.isTTY === true) return;
      if (nowMs - lastMs < SAME_SIGNAL_MS && lastMs !== 0) return;
      lastMs = nowMs;
      child.kill(signal);
    };
    process.on(signal, handler);
    return () => process.off(signal, handler);
  });
  return () => handlers.forEach((off) => off());
}
