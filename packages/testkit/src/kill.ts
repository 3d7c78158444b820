import { eventually } from './eventually.ts';
import { isAlive, isNoSuchProcess } from './process-table.ts';

/** Kills processes and waits until they are gone; those that are gone already are fine. */
export async function killAll(pids: readonly number[]): Promise<void> {
  for (const pid of pids) sendKill(pid);
  await eventually(() => pids.every((pid) => !isAlive(pid)), { what: `processes ${pids.join(', ')} to be gone` });
}

/** Kills whatever is left of a process group. */
export function killGroup(leaderPid: number): void {
  sendKill(-leaderPid);
}

function sendKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (!isNoSuchProcess(error)) throw error;
  }
}
