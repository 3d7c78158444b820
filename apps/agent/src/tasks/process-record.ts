import { mkdir, readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeFileAtomic } from '@drawbridge/runtime';
import { errnoOf } from './errno.ts';
import type { ProcessIdentity, ProcessTable } from './process-table.ts';
import { isTaskId } from './task-dir.ts';

/** Beside the tasks' directories, where no task id can name it. */
const RECORDS_DIR = '.processes';

/**
 * A task whose processes may be alive. It is written twice: before the process starts, without `process`, and again with
 * it before the task is announced as running. An agent that dies between the two leaves a record all the same, and the
 * mark in the environment finds what it had started. A loss of power ends the processes too, so no fsync is spent on it.
 */
export const ProcessRecord = z.object({
  task_id: z.uuid(),
  boot_id: z.string(),
  process: z.object({ pid: z.number().int().positive(), started_at: z.number().nonnegative() }).optional(),
});
export type ProcessRecord = z.infer<typeof ProcessRecord>;

/** Says on disk that processes of this task may be alive: about to start, or started as `leader`. */
export async function writeProcessRecord(
  workspaceRoot: string,
  taskId: string,
  table: ProcessTable,
  leader?: ProcessIdentity,
): Promise<void> {
  await mkdir(join(workspaceRoot, RECORDS_DIR), { recursive: true, mode: 0o700 });
  const record: ProcessRecord = {
    task_id: taskId,
    boot_id: await table.bootId(),
    ...(leader && { process: { pid: leader.pid, started_at: leader.startedAt } }),
  };
  await writeFileAtomic(recordPath(workspaceRoot, taskId), JSON.stringify(record), { durable: false });
}

/** Says that no process of this task is alive any more. */
export async function removeProcessRecord(workspaceRoot: string, taskId: string): Promise<void> {
  await rm(recordPath(workspaceRoot, taskId), { force: true });
}

/** The records of all tasks that were not seen to end. One that cannot be read still names its task. */
export async function listProcessRecords(workspaceRoot: string): Promise<readonly ProcessRecord[]> {
  const names = await namesIn(join(workspaceRoot, RECORDS_DIR));
  const taskIds = names.filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -'.json'.length));
  return Promise.all(taskIds.filter(isTaskId).map((taskId) => readRecord(workspaceRoot, taskId)));
}

async function readRecord(workspaceRoot: string, taskId: string): Promise<ProcessRecord> {
  try {
    const record = ProcessRecord.parse(JSON.parse(await readFile(recordPath(workspaceRoot, taskId), 'utf8')));
    return { ...record, task_id: taskId };
  } catch {
    return { task_id: taskId, boot_id: 'unknown' };
  }
}

async function namesIn(path: string): Promise<readonly string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

function recordPath(workspaceRoot: string, taskId: string): string {
  return join(workspaceRoot, RECORDS_DIR, `${taskId}.json`);
}
