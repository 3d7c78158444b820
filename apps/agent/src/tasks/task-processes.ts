import type { Clock } from '@drawbridge/link';
import { AGENT_LIMITS } from '../limits.ts';
import { mapBounded } from './map-bounded.ts';
import type { ProcessIdentity, ProcessInfo, ProcessTable } from './process-table.ts';

/** Which processes are meant: a task's first one, and all that came of it. */
export interface TaskProcesses {
  readonly taskId: string;
  /** The process the agent started, when it is known. */
  readonly leader: ProcessIdentity | undefined;
  /**
   * True while the leader is a child of this agent or has just been collected: its session is then the task's even if the
   * leader is gone. Later, the number may have become the session of a stranger.
   */
  readonly leaderIsOurs: boolean;
}

/** What ending processes needs. */
export interface EndOptions {
  readonly table: ProcessTable;
  readonly clock: Clock;
  /** From SIGTERM to SIGKILL. */
  readonly killGraceMs: number;
}

/**
 * Every living process of the task: those that carry its mark in their environment, and the children and sessions of all
 * of these. A process gets away only if it drops its environment, leaves its session and loses its parent, all before
 * anyone looks; a sandbox with a process namespace closes that.
 */
export async function findTaskProcesses(table: ProcessTable, task: TaskProcesses): Promise<readonly ProcessInfo[]> {
  const all = await table.list();
  const ownSession = all.find((one) => one.pid === process.pid)?.session;
  // What is older than the task's first process is not the task's: most of the machine is not even asked.
  const young = all.filter((one) => one.pid !== process.pid && one.startedAt >= (task.leader?.startedAt ?? 0));
  const marks = await mapBounded(young, AGENT_LIMITS.procReadsMax, (one) => table.taskIdOf(one.pid));

  const members = new Set(young.filter((one, index) => marks[index] === task.taskId || isSame(one, task.leader)));
  const sessions = new Set<number>();
  if (task.leader !== undefined && sessionIsOurs(all, task.leader, task.leaderIsOurs)) sessions.add(task.leader.pid);
  for (let before = -1; members.size > before;) {
    before = members.size;
    for (const member of members) if (member.session !== ownSession) sessions.add(member.session);
    const pids = new Set([...members].map((member) => member.pid));
    for (const one of young) if (pids.has(one.parentPid) || sessions.has(one.session)) members.add(one);
  }
  return [...members];
}

/** Asks all processes of the task to end, ends those that have not after the grace, and returns what could not be ended. */
export async function endTaskProcesses(task: TaskProcesses, options: EndOptions): Promise<readonly ProcessInfo[]> {
  const { killGraceMs } = options;
  // Whoever was asked once has heard it: a second SIGTERM makes some programs skip their own cleaning up.
  const asked = new Set<string>();
  const ask = async (one: ProcessInfo) => {
    const key = `${one.pid} ${one.startedAt}`;
    if (asked.has(key)) return;
    asked.add(key);
    await signalProcess(options.table, one, 'SIGTERM');
    // A stopped process hears nothing until it runs again.
    await signalProcess(options.table, one, 'SIGCONT');
  };
  const left = await untilGone(task, options, killGraceMs, ask);
  if (left.length === 0) return left;
  return untilGone(task, options, AGENT_LIMITS.killWaitMs, (one) => signalProcess(options.table, one, 'SIGKILL'));
}

/** Looks again and again, because what dies may have just started something; each time `act` meets all that are alive. */
async function untilGone(
  task: TaskProcesses,
  { table, clock }: EndOptions,
  limitMs: number,
  act: (one: ProcessInfo) => Promise<void>,
): Promise<readonly ProcessInfo[]> {
  const endsAt = clock.monotonic() + limitMs;
  let pauseMs: number = AGENT_LIMITS.killPollMsMin;
  for (;;) {
    const alive = await findTaskProcesses(table, task);
    if (alive.length === 0) return alive;
    await Promise.all(alive.map(act));
    const leftMs = endsAt - clock.monotonic();
    if (leftMs <= 0) return findTaskProcesses(table, task);
    await clock.sleep(Math.min(pauseMs, leftMs));
    pauseMs = Math.min(pauseMs * 2, AGENT_LIMITS.killPollMsMax);
  }
}

/** Signals exactly this process, not one that has its number by now. */
async function signalProcess(table: ProcessTable, one: ProcessIdentity, signal: NodeJS.Signals): Promise<void> {
  if (!isSame(one, await table.identify(one.pid))) return;
  try {
    process.kill(one.pid, signal);
  } catch {
    // It has just ended (ESRCH), or is another user's (EPERM): the next look tells.
  }
}

function sessionIsOurs(all: readonly ProcessInfo[], leader: ProcessIdentity, leaderIsOurs: boolean): boolean {
  const holder = all.find((one) => one.pid === leader.pid);
  return holder === undefined ? leaderIsOurs : isSame(holder, leader);
}

function isSame(one: ProcessIdentity, other: ProcessIdentity | undefined): boolean {
  return one.pid === other?.pid && one.startedAt === other.startedAt;
}
