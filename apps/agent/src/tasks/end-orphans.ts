import { listProcessRecords, type ProcessRecord, removeProcessRecord } from './process-record.ts';
import { openWorkspace, taskDirOf } from './task-dir.ts';
import { type EndOptions, endTaskProcesses } from './task-processes.ts';
import { readTaskState, writeTaskState } from './task-state-file.ts';
import { taskFailureOf } from './errno.ts';

/**
 * Ends what a predecessor of this agent left running: the processes of every task it did not see end, with all they
 * started. A number that another process has by now is left alone. Their `task.json` says `indeterminate` afterwards.
 * Returns the ids of those tasks. A task of which something could not be ended keeps its record for the next start.
 */
export async function endOrphans(workspaceRoot: string, options: EndOptions): Promise<readonly string[]> {
  const root = await openWorkspace(workspaceRoot);
  const records = await listProcessRecords(root);
  const bootId = await options.table.bootId();
  await Promise.all(records.map((record) => endOrphan(root, record, bootId, options)));
  return records.map((record) => record.task_id);
}

async function endOrphan(root: string, record: ProcessRecord, bootId: string, options: EndOptions): Promise<void> {
  const taskId = record.task_id;
  // The number is worth something on the boot it comes from only; the mark finds the task's processes without it.
  const started = record.boot_id === bootId ? record.process : undefined;
  const leader = started && { pid: started.pid, startedAt: started.started_at };
  const left = await endTaskProcesses({ taskId, leader, leaderIsOurs: false }, options);
  if (left.length > 0) return;
  await markIndeterminate(root, taskId, new Date(options.clock.now()).toISOString());
  await removeProcessRecord(root, taskId);
}

async function markIndeterminate(root: string, taskId: string, at: string): Promise<void> {
  try {
    const dir = taskDirOf(root, taskId);
    const state = await readTaskState(dir);
    if (state === undefined || state.ended_at !== undefined) return;
    await writeTaskState(dir, { ...state, state: 'indeterminate', ended_at: at });
  } catch (error) {
    // A directory that is gone, or a full disk: the journal has the last word about the task, this file only repeats it.
    taskFailureOf(error);
  }
}
