import type { Logger } from '@drawbridge/runtime';
import type { Bus } from '../bus/bus.ts';
import { BulkRunsRepository } from '../store/bulk-runs-repository.ts';
import type { BulkRunRow } from '../store/bulk-runs-repository.ts';
import { timestamp } from '../store/timestamp.ts';
import { advanceRun } from './advance-run.ts';
import type { AdvanceParts } from './advance-run.ts';
import { BULK_ENGINE_LIMITS } from './limits.ts';
import { UNFINISHED_RUN_STATES } from './run-state.ts';

export interface BulkEngineParts extends Omit<AdvanceParts, 'watch' | 'unwatch' | 'isReturning'> {
  readonly bus: Bus;
  readonly log: Logger;
}

/**
 * Carries bulk runs out: one loop for all of them, woken by what happens to their commands. It keeps nothing that it could not
 * read again, so that another process goes on where this one ended.
 */
export class BulkEngine {
  readonly #parts: BulkEngineParts;
  readonly #advance: AdvanceParts;
  readonly #watched = new Map<string, () => void>();
  /** Runs to look at, the one that waits longest first. */
  readonly #due = new Set<string>();
  readonly #startedAt: string;
  readonly #returnUntilMs: number;
  #woken = Promise.withResolvers<void>();

  constructor(parts: BulkEngineParts) {
    const { clock } = parts;
    this.#parts = parts;
    this.#startedAt = timestamp(clock);
    this.#returnUntilMs = clock.monotonic() + BULK_ENGINE_LIMITS.returnMs;
    this.#advance = {
      ...parts,
      watch: (runId, commandId) => this.#watch(runId, commandId),
      unwatch: (commandId) => this.#unwatch(commandId),
      isReturning: (run) => this.#isReturning(run),
    };
  }

  /** There is something to do for this run. */
  wake(runId: string): void {
    this.#due.add(runId);
    this.#woken.resolve();
  }

  /** Works until `signal` aborts. A step that fails is tried again with the next look at all runs. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts;
    try {
      while (!signal.aborted) {
        await this.#lookAtAll().catch((error: unknown) => log.warn({ err: error }, 'bulk runs cannot be read'));
        const untilMs = clock.monotonic() + BULK_ENGINE_LIMITS.pollMs;
        do {
          await this.#work(signal);
          await this.#nap(untilMs - clock.monotonic(), signal);
        } while (clock.monotonic() < untilMs && !signal.aborted);
      }
    } finally {
      for (const commandId of this.#watched.keys()) this.#unwatch(commandId);
    }
  }

  async #lookAtAll(): Promise<void> {
    const runs = new BulkRunsRepository(this.#parts.db);
    for (const id of await runs.idsIn(UNFINISHED_RUN_STATES, BULK_ENGINE_LIMITS.runsMax)) this.#due.add(id);
  }

  async #work(signal: AbortSignal): Promise<void> {
    for (const runId of this.#due) {
      if (signal.aborted) return;
      // Removed before the step, and added behind the others after it: what comes meanwhile is not lost, and all have their turn.
      this.#due.delete(runId);
      try {
        if (await advanceRun(this.#advance, runId, signal)) this.#due.add(runId);
      } catch (error) {
        if (!signal.aborted) this.#parts.log.warn({ err: error, runId }, 'bulk run: a step failed, trying again');
      }
    }
  }

  async #nap(ms: number, signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    const slept = this.#parts.clock.sleep(ms, AbortSignal.any([signal, over.signal])).catch(() => undefined);
    if (this.#due.size === 0) await Promise.race([this.#woken.promise, slept]);
    over.abort(new Error('woken'));
    this.#woken = Promise.withResolvers();
  }

  #watch(runId: string, commandId: string): boolean {
    if (this.#watched.has(commandId)) return false;
    this.#watched.set(
      commandId,
      this.#parts.bus.subscribe(`command:${commandId}`, () => this.wake(runId)),
    );
    return true;
  }

  #unwatch(commandId: string): void {
    this.#watched.get(commandId)?.();
    this.#watched.delete(commandId);
  }

  /** Runs of an earlier process: their agents have lost their links with it, and are on their way back. */
  #isReturning(run: BulkRunRow): boolean {
    return run.created_at < this.#startedAt && this.#parts.clock.monotonic() < this.#returnUntilMs;
  }
}
