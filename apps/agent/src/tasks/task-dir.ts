import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, realpath, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { ControlError } from '@drawbridge/protocol';
import { errnoOf } from './errno.ts';

/** Where everything of one task lies. No path of one task leads into another's directory. */
export interface TaskDir {
  readonly taskId: string;
  readonly path: string;
  /** `input/TASK.md`: the instructions. */
  readonly taskFile: string;
  readonly outputDir: string;
  /** `output/output.log`: stdout and stderr in order of arrival. */
  readonly outputLog: string;
  /** `output/result.md`: what the task answered. */
  readonly resultFile: string;
  /** `work/`: the child's working directory. */
  readonly workDir: string;
  /** `task.json`: state and times. */
  readonly stateFile: string;
}

/** Only the owner of the agent reads what its tasks say. */
const DIR_MODE = 0o700;
const FILE_MODE = 0o600;

const TaskId = z.uuid();

/** The paths of a task directly below `root`, the real path of the workspace, made from its id alone. An id that is no UUID is refused. */
export function taskDirOf(root: string, taskId: string): TaskDir {
  if (!isTaskId(taskId)) throw new ControlError('invalid_request', `task id ${JSON.stringify(taskId)} is not a UUID`);
  const path = join(root, taskId);
  return {
    taskId,
    path,
    taskFile: join(path, 'input', 'TASK.md'),
    outputDir: join(path, 'output'),
    outputLog: join(path, 'output', 'output.log'),
    resultFile: join(path, 'output', 'result.md'),
    workDir: join(path, 'work'),
    stateFile: join(path, 'task.json'),
  };
}

/** Whether `name` can name a task's directory. */
export function isTaskId(name: string): boolean {
  return TaskId.safeParse(name).success;
}

/** Makes `workspaceRoot` if it is not there. Returns its real path: below it, no link is ever followed. */
export async function openWorkspace(workspaceRoot: string): Promise<string> {
  await mkdir(workspaceRoot, { recursive: true, mode: DIR_MODE });
  return realpath(workspaceRoot);
}

/** Makes the directory of a new task and writes its instructions. One that exists is never used again: `conflict`. */
export async function createTaskDir(dir: TaskDir, instructions: string): Promise<void> {
  try {
    await mkdir(dir.path, { mode: DIR_MODE });
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
    throw new ControlError('conflict', `task ${dir.taskId} has a directory already`, { cause: error });
  }
  await checkReal(dir.path);
  for (const part of [dirname(dir.taskFile), dir.outputDir, dir.workDir]) await mkdir(part, { mode: DIR_MODE });
  await writeFile(dir.taskFile, instructions, { flag: 'wx', mode: FILE_MODE });
}

/** Checks that a task's directory is there: `task_not_found` without one, `forbidden` for a link to elsewhere. */
export async function checkTaskDir(dir: TaskDir): Promise<void> {
  try {
    await checkReal(dir.path);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    throw new ControlError('task_not_found', `task ${dir.taskId} is not on this agent`, { cause: error });
  }
}

/** Makes a new file of a task for appending; following no link, and never opening what is already there. */
export function createTaskFile(path: string): Promise<FileHandle> {
  const { O_WRONLY, O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  return open(path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW, FILE_MODE);
}

/**
 * Opens a file of a task for reading. The task itself can put anything there: a link that leads elsewhere, below or above
 * the file, and anything that is not a regular file, are refused.
 */
export async function openTaskFile(path: string): Promise<FileHandle> {
  await checkReal(path);
  // Without O_NONBLOCK, opening a FIFO would wait for its writer.
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw new ControlError('forbidden', `${path} is not a regular file`);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** A link anywhere on the way makes the real path another one. */
async function checkReal(path: string): Promise<void> {
  const real = await realpath(path);
  if (real !== path) throw new ControlError('forbidden', `${path} leads to another place`);
}
