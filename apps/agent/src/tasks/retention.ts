import type { Dirent } from 'node:fs';
import { lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '@drawbridge/link';
import { AGENT_LIMITS } from '../limits.ts';
import { errnoOf } from './errno.ts';
import { isTaskId, openWorkspace, taskDirOf } from './task-dir.ts';
import { readTaskState } from './task-state-file.ts';

const DAY_MS = 86_400_000;
/** The unit of `Stats.blocks`, on every system. */
const BLOCK_BYTES = 512;

/** What is kept, and what is never touched. */
export interface RetentionOptions {
  readonly workspaceRoot: string;
  readonly clock: Clock;
  readonly retentionDays: number;
  /** All finished tasks together; undefined is no bound. */
  readonly totalBytesMax: number | undefined;
  /** Whether a task has not ended yet: its directory stays, whatever its age and size. */
  readonly isLive: (taskId: string) => boolean;
}

/** What one sweep did. */
export interface SweepReport {
  readonly removed: readonly string[];
  /** Directories that could not be removed; they are tried again. */
  readonly failed: readonly string[];
  /** True when the sweep stopped at its bound, with more to do. */
  readonly more: boolean;
}

interface FinishedTask {
  readonly taskId: string;
  readonly endedAtMs: number;
  readonly bytes: number;
}

/** Removes finished tasks: those past their days, then the oldest, until the rest fits. */
export class Retention {
  readonly #options: RetentionOptions;
  /** A finished task does not change: it is looked at once. */
  readonly #finished = new Map<string, FinishedTask>();

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  /** One pass of bounded work. */
  async sweep(signal: AbortSignal): Promise<SweepReport> {
    const root = await openWorkspace(this.#options.workspaceRoot);
    const complete = await this.#learn(root, signal);
    const due = this.#due();
    const removed: string[] = [];
    const failed: string[] = [];
    for (const { taskId } of due.slice(0, AGENT_LIMITS.retentionRemovalsMax)) {
      signal.throwIfAborted();
      const outcomes = (await this.#remove(root, taskId)) ? removed : failed;
      outcomes.push(taskId);
    }
    return { removed, failed, more: !complete || due.length > AGENT_LIMITS.retentionRemovalsMax };
  }

  /** Looks at directories it does not know yet; false when there are more than one sweep looks at. */
  async #learn(root: string, signal: AbortSignal): Promise<boolean> {
    const taskIds = (await readdir(root, { withFileTypes: true })).filter(isTaskDir).map((entry) => entry.name);
    const there = new Set(taskIds);
    for (const taskId of this.#finished.keys()) if (!there.has(taskId)) this.#finished.delete(taskId);
    const unknown = taskIds.filter((taskId) => !this.#finished.has(taskId) && !this.#options.isLive(taskId));
    for (const taskId of unknown.slice(0, AGENT_LIMITS.retentionMeasuresMax)) {
      signal.throwIfAborted();
      this.#finished.set(taskId, await measure(root, taskId));
    }
    return unknown.length <= AGENT_LIMITS.retentionMeasuresMax;
  }

  /** Oldest first: everything past its days, and then as many as are too much. */
  #due(): readonly FinishedTask[] {
    const { clock, retentionDays, totalBytesMax = Infinity } = this.#options;
    const expiredBeforeMs = clock.now() - retentionDays * DAY_MS;
    const oldestFirst = [...this.#finished.values()].sort((a, b) => a.endedAtMs - b.endedAtMs);
    let keptBytes = oldestFirst.reduce((sum, task) => sum + task.bytes, 0);
    return oldestFirst.filter((task) => {
      const isDue = task.endedAtMs < expiredBeforeMs || keptBytes > totalBytesMax;
      if (isDue) keptBytes -= task.bytes;
      return isDue;
    });
  }

  async #remove(root: string, taskId: string): Promise<boolean> {
    try {
      await rm(taskDirOf(root, taskId).path, { recursive: true, force: true });
      this.#finished.delete(taskId);
      return true;
    } catch (error) {
      // A task may have taken the agent's rights on its own files away.
      if (errnoOf(error) === undefined) throw error;
      return false;
    }
  }
}

function isTaskDir(entry: Dirent): boolean {
  return entry.isDirectory() && isTaskId(entry.name);
}

/** A task that a crash left without an end ended when its directory was last written to. */
async function measure(root: string, taskId: string): Promise<FinishedTask> {
  const dir = taskDirOf(root, taskId);
  const endedAt = (await readTaskState(dir))?.ended_at;
  const endedAtMs = endedAt === undefined ? (await lstat(dir.path)).mtimeMs : Date.parse(endedAt);
  return { taskId, endedAtMs, bytes: await sizeOf(dir.path) };
}

/** What a directory takes on the disk, following no link. What vanishes or cannot be read counts nothing. */
async function sizeOf(path: string): Promise<number> {
  let bytes = 0;
  const dirs = [path];
  for (let dir = dirs.pop(); dir !== undefined; dir = dirs.pop()) {
    for (const entry of await readdir(dir, { withFileTypes: true }).catch(() => [])) {
      const child = join(dir, entry.name);
      if (entry.isDirectory()) dirs.push(child);
      const stats = await lstat(child).catch(() => undefined);
      bytes += (stats?.blocks ?? 0) * BLOCK_BYTES;
    }
  }
  return bytes;
}
