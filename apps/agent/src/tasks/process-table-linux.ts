import { readFileSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { markIn } from './environment.ts';
import type { ProcessInfo, ProcessTable } from './process-table.ts';

/** The process table of Linux, read from /proc. */
export function linuxProcessTable(procDir = '/proc'): ProcessTable {
  return {
    bootId: async () => (await readFile(`${procDir}/sys/kernel/random/boot_id`, 'utf8')).trim(),

    async list() {
      const pids = (await readdir(procDir)).filter((name) => /^\d+$/.test(name));
      const alive: ProcessInfo[] = [];
      for (const [index, pid] of pids.entries()) {
        // These files are in memory: read at once, each takes microseconds. A machine full of processes must not stall us.
        if (index % READS_AT_ONCE === READS_AT_ONCE - 1) await nextTurn();
        const stat = statOf(`${procDir}/${pid}/stat`);
        if (stat !== undefined && !DEAD_STATES.has(stat.state)) alive.push(stat);
      }
      return alive;
    },

    async identify(pid) {
      // Read at once, not later: a child that has just exited is there until this turn of the event loop collects it.
      return statOf(`${procDir}/${pid}/stat`);
    },

    async taskIdOf(pid) {
      const environ = await environOf(`${procDir}/${pid}`);
      return environ === undefined ? undefined : markIn(environ.split('\0'));
    },
  };
}

/** Files of /proc that are read between two turns of the event loop. */
const READS_AT_ONCE = 200;

/** Looks at a process that is between two programs, a turn of the event loop each: it is so for microseconds. */
const EXEC_LOOKS_MAX = 100;

/** Of the flags in /proc/<pid>/stat: a thread of the kernel, which never has an environment. */
const PF_KTHREAD = 0x0020_0000;

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

/**
 * What a process was given. In the middle of exec there is neither that nor a command line, and a process that is just leaving
 * its task behind has only its mark to be found by: it is asked again.
 */
async function environOf(dir: string): Promise<string | undefined> {
  let environ = await readIfThere(`${dir}/environ`);
  for (let looks = 1; environ === '' && looks < EXEC_LOOKS_MAX; looks += 1) {
    const words = await readIfThere(`${dir}/cmdline`);
    if (words === '') {
      if (!hasPrograms((await readIfThere(`${dir}/stat`)) ?? '')) break;
      await nextTurn();
    }
    environ = await readIfThere(`${dir}/environ`);
    // With a command line it has been through exec, before the last look at its environment.
    if (words !== '') break;
  }
  return environ;
}

/** False for a thread of the kernel, and for a process that has died meanwhile. */
function hasPrograms(stat: string): boolean {
  // Fields 3 and 9 of proc(5); the first two end with the name.
  const [state = '', , , , , , flags] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return !DEAD_STATES.has(state) && (Number(flags) & PF_KTHREAD) === 0;
}

function statOf(path: string): ReturnType<typeof parseProcStat> {
  try {
    return parseProcStat(readFileSync(path, 'latin1'));
  } catch {
    return undefined;
  }
}

/** A process may be gone, or another user's: both mean that there is nothing to read. */
async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'latin1');
  } catch {
    return undefined;
  }
}
