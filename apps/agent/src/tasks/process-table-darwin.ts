import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { AGENT_LIMITS } from '../limits.ts';
import type { ProcessInfo, ProcessTable } from './process-table.ts';

const run = promisify(execFile);

/** The process table of macOS, read with ps. It was written from the manual and has never run on a Mac. */
export const darwinProcessTable: ProcessTable = {
  bootId: async () => (await output('/usr/sbin/sysctl', ['-n', 'kern.boottime'])).trim(),

  list: async () => parsePs(await output('/bin/ps', ['-axo', COLUMNS])),

  async identify(pid) {
    try {
      return parsePs(await output('/bin/ps', ['-o', COLUMNS, '-p', String(pid)]))[0];
    } catch {
      // ps exits 1 when there is no such process.
      return undefined;
    }
  },

  // A Mac shows no process the environment of another; parents and process groups have to do.
  taskIdOf: async () => undefined,
};

const COLUMNS = 'pid=,ppid=,pgid=,state=,lstart=';

/**
 * The lines of ps, the dead left out. A process group stands in for the session, which ps does not number there: a task
 * leads both.
 */
export function parsePs(text: string): ProcessInfo[] {
  return text.split('\n').flatMap((line) => {
    const [, pid, parentPid, group, state, started] = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(.+?)\s*$/.exec(line) ?? [];
    const startedAt = Date.parse(`${started} UTC`);
    if (state === undefined || state.startsWith('Z') || Number.isNaN(startedAt)) return [];
    return [{ pid: Number(pid), parentPid: Number(parentPid), session: Number(group), startedAt }];
  });
}

async function output(program: string, args: readonly string[]): Promise<string> {
  const { stdout } = await run(program, [...args], {
    // The dates of lstart are in the user's language otherwise.
    env: { LC_ALL: 'C', TZ: 'UTC' },
    timeout: AGENT_LIMITS.helperTimeoutMs,
    maxBuffer: AGENT_LIMITS.helperOutputBytesMax,
  });
  return stdout;
}
