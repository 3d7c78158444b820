import { closeSync, fdatasync, openSync } from 'node:fs';
import { backup, type DatabaseSync } from 'node:sqlite';
import { systemClock } from '@drawbridge/link/clock';

/** Pages copied at a time: whoever writes waits for no more than these (1/4 MB). */
const PAGES_PER_STEP = 64;
/** The copy is brought to the disk along the way, so that its end, for which writers wait, is no long one (16 MB). */
const STEPS_PER_SYNC = 64;
/** A transaction that writes keeps a copy from starting, and ends within `storeTransactionPauseMsMax` and its own work. */
const START_TRIES_MAX = 2_000;
const START_PAUSE_MS = 10;

/**
 * Makes copies of an open database while it is worked on. Each holds what was committed at one moment, after it was asked for: what
 * is written meanwhile by this process goes into the copy as well.
 */
export class DatabaseCopier {
  readonly #database: DatabaseSync;
  readonly #underWay = new Set<Promise<void>>();
  #isStopped = false;

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Writes a new file at `path`, readable by its owner alone. Rejects when there is one already. */
  copy(path: string): Promise<void> {
    const copying = this.#copy(path);
    this.#underWay.add(copying);
    return copying.finally(() => this.#underWay.delete(copying));
  }

  /** Breaks off what is under way, and takes nothing more: the database may be closed then. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.allSettled(this.#underWay);
  }

  async #copy(path: string): Promise<void> {
    const file = openSync(path, 'wx', 0o600);
    let steps = 0;
    let isSyncing = false;
    const progress = (): void => {
      this.#assertRunning();
      steps += 1;
      if (isSyncing || steps % STEPS_PER_SYNC !== 0) return;
      isSyncing = true;
      // Only the last of them counts, and that one is SQLite's own.
      fdatasync(file, () => {
        isSyncing = false;
        if (isOver) closeSync(file);
      });
    };
    let isOver = false;
    try {
      for (let tries = 1; ; tries += 1) {
        this.#assertRunning();
        try {
          await backup(this.#database, path, { rate: PAGES_PER_STEP, progress });
          return;
        } catch (error) {
          if (!isBusy(error) || tries >= START_TRIES_MAX) throw error;
          await systemClock.sleep(START_PAUSE_MS);
        }
      }
    } finally {
      isOver = true;
      if (!isSyncing) closeSync(file);
    }
  }

  #assertRunning(): void {
    if (this.#isStopped) throw new Error('the store is closing');
  }
}

/** A copy that cannot start, because somebody writes, fails with no error of SQLite's at all. */
function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === 0;
}
