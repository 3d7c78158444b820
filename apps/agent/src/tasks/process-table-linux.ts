import { readFileSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { AGENT_LIMITS } from '../limits.ts';
import { mapBounded } from './map-bounded.ts';
import { TASK_ID_VARIABLE } from './environment.ts';
import type { ProcessInfo, ProcessTable } from './process-table.ts';

/** The process table of Linux, read from /proc. */
export function linuxProcessTable(procDir = '/proc'): ProcessTable {
  return {
    bootId: async () => (await readFile(`${procDir}/sys/kernel/random/boot_id`, 'utf8')).trim(),

    async list() {
      const pids = (await readdir(procDir)).filter((name) => /^\d+$/.test(name));
      const stats = await mapBounded(pids, AGENT_LIMITS.procReadsMax, (pid) => readIfThere(`${procDir}/${pid}/stat`));
      return stats
        .map((text) => (text === undefined ? undefined : parseProcStat(text)))
        .filter((stat) => stat !== undefined)
        .filter((stat) => !DEAD_STATES.has(stat.state));
    },

    async identify(pid) {
      // Read at once, not later: a child that has just exited is there until this turn of the event loop collects it.
      try {
        return parseProcStat(readFileSync(`${procDir}/${pid}/stat`, 'latin1'));
      } catch {
        return undefined;
      }
    },

    async taskIdOf(pid) {
      const environ = await readIfThere(`${procDir}/${pid}/environ`);
      const prefix = `${TASK_ID_VARIABLE}=`;
      return environ
        ?.split('\0')
        .find((variable) => variable.startsWith(prefix))
        ?.slice(prefix.length);
    },
  };
}

/** Zombie and dead: such a process runs nothing and holds nothing. */
const DEAD_STATES: ReadonlySet<string> = new Set(['Z', 'X', 'x']);

/** One process and its state, from its /proc/<pid>/stat; undefined when the text is nothing of the kind. */
export function parseProcStat(text: string): (ProcessInfo & { readonly state: string }) | undefined {
  // The name is in parentheses and may hold spaces and parentheses of its own: the last one ends it.
  const nameEnd = text.lastIndexOf(')');
  const pid = Number.parseInt(text, 10);
  const [state, parentPid, , session, ...more] = text.slice(nameEnd + 2).split(' ');
  // proc(5) counts from 1: state is field 3, so field 22, the start time in clock ticks since boot, is more[15].
  const startedAt = Number(more[15]);
  if (nameEnd < 0 || state === undefined || Number.isNaN(startedAt)) return undefined;
  return { pid, state, parentPid: Number(parentPid), session: Number(session), startedAt };
}

/** A process may be gone, or another user's: both mean that there is nothing to read. */
async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'latin1');
  } catch {
    return undefined;
  }
}
