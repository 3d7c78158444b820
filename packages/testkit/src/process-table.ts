import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** What a process holds in memory, now and at most so far. */
export interface Memory {
  readonly rssBytes: number;
  readonly peakRssBytes: number;
}

/** Reads VmRSS and VmHWM from Linux's /proc. */
export function memoryOf(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const bytes = (key: string): number => {
    const kibibytes = new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1];
    if (kibibytes === undefined) throw new Error(`process ${pid} has no ${key}`);
    return Number(kibibytes) * 1024;
  };
  return { rssBytes: bytes('VmRSS'), peakRssBytes: bytes('VmHWM') };
}

/** True until the process ended; one that ended and was not waited for (a zombie) is not alive. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (isNoSuchProcess(error)) return false;
    throw error;
  }
  return readStat(pid)?.state !== 'Z';
}

/** Its children, their children and so on, parents first. Empty where there is no /proc. */
export function childrenOf(pid: number): number[] {
  const processes = processIds().map((id) => ({ id, parentPid: readStat(id)?.parentPid }));
  const found = [pid];
  // The list grows while it is walked, until the last one has no children.
  for (const parent of found) {
    for (const { id, parentPid } of processes) if (parentPid === parent) found.push(id);
  }
  return found.slice(1);
}

/** Processes that name `dir`, or something in it, on their command line or work in it, with all their children. */
export function processesUsing(dir: string): number[] {
  const isInside = (path: string) => path === dir || path.startsWith(`${dir}/`);
  const users = processIds().filter((pid) => pid !== process.pid && pathsOf(pid).some(isInside));
  return [...new Set(users.concat(users.flatMap(childrenOf)))];
}

/** What the system says when it is asked about a process that is gone. */
export function isNoSuchProcess(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ESRCH';
}

function processIds(): number[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc')
    .map(Number)
    .filter((id) => Number.isInteger(id));
}

/** Undefined when the process is gone. */
function readStat(pid: number): { readonly state: string; readonly parentPid: number } | undefined {
  const stat = readOrUndefined(() => readFileSync(`/proc/${pid}/stat`, 'utf8'));
  // The program's name is in brackets and may hold anything, brackets too.
  const [state = '', parentPid] = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? [];
  return parentPid === undefined ? undefined : { state, parentPid: Number(parentPid) };
}

function pathsOf(pid: number): string[] {
  const args = readOrUndefined(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8'))?.split('\0') ?? [];
  return [...args, readOrUndefined(() => readlinkSync(`/proc/${pid}/cwd`)) ?? ''];
}

/** Processes come and go, and some are not ours to look at. */
function readOrUndefined(read: () => string): string | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
