import { z } from 'zod';
import { TaskOutcome, TaskState } from '@drawbridge/protocol';
import { writeFileAtomic } from '@drawbridge/runtime';
import { openTaskFile, type TaskDir } from './task-dir.ts';

/** The largest `task.json` the agent writes has a fraction of this. */
const STATE_BYTES_MAX = 64 * 1024;

/** `task.json`: what the agent knows about one task, without its content. */
export const TaskStateFile = z.object({
  task_id: z.uuid(),
  provider: z.string(),
  mode: z.string().optional(),
  model: z.string().optional(),
  state: TaskState,
  created_at: z.iso.datetime(),
  started_at: z.iso.datetime().optional(),
  ended_at: z.iso.datetime().optional(),
  outcome: TaskOutcome.optional(),
});
export type TaskStateFile = z.infer<typeof TaskStateFile>;

/** Writes `task.json`, whole or not at all; once the task has ended, for good. */
export async function writeTaskState(dir: TaskDir, state: TaskStateFile): Promise<void> {
  await writeFileAtomic(dir.stateFile, `${JSON.stringify(state, undefined, 2)}\n`, {
    durable: state.ended_at !== undefined,
  });
}

/** Reads `task.json`; undefined when it is missing, or is not what the agent wrote. */
export async function readTaskState(dir: TaskDir): Promise<TaskStateFile | undefined> {
  try {
    await using file = await openTaskFile(dir.stateFile);
    if ((await file.stat()).size > STATE_BYTES_MAX) return undefined;
    return TaskStateFile.parse(JSON.parse(await file.readFile('utf8')));
  } catch {
    // The task's own user may write here too: whatever is wrong with it, it says nothing.
    return undefined;
  }
}
