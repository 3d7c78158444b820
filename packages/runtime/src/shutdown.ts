import { type Clock, type Timer, systemClock } from '@drawbridge/link';
import type { EventEmitter } from 'node:events';

/** What of the process a Shutdown touches; `channel` is there when a parent holds an IPC channel to us. */
type ShutdownProcess = Pick<EventEmitter, 'on' | 'off'> & {
  exit(code: number): unknown;
  readonly channel?: { unref(): void } | null | undefined;
};

/** The exit codes of a program that a signal ended: 128 and the signal's number. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;
type StopSignal = keyof typeof EXIT_CODES;

/** What a program says about how it stops. */
export interface ShutdownOptions {
  /** What runs has this long to finish after the first signal. */
  readonly drainTimeoutMs: number;
  readonly onSignal?: (signal: StopSignal) => void;
  readonly clock?: Clock;
  /** The process, unless a test plays it. */
  readonly process?: ShutdownProcess;
}

/**
 * How a program is asked to stop. SIGINT or SIGTERM aborts `drain`: finish what runs, take nothing new. When the time for that
 * is over `stop` aborts: now. A second signal ends the process at once. A parent that vanishes counts as a signal, so that
 * nothing is left running.
 *
 *   running --signal--> draining --time--> stopping
 *                       draining, stopping --signal--> exit 130 or 143
 */
export class Shutdown {
  readonly #drain = new AbortController();
  readonly #stop = new AbortController();
  readonly #options: Required<Pick<ShutdownOptions, 'clock' | 'process' | 'drainTimeoutMs'>> & ShutdownOptions;
  readonly #onInt = (): void => this.#received('SIGINT');
  readonly #onTerm = (): void => this.#received('SIGTERM');
  readonly #onOrphaned = (): void => this.request('the parent process has gone');
  #timer: Timer | undefined;
  #signals = 0;

  constructor(options: ShutdownOptions) {
    this.#options = { clock: systemClock, process, ...options };
    this.#options.process.on('SIGINT', this.#onInt);
    this.#options.process.on('SIGTERM', this.#onTerm);
    this.#options.process.on('disconnect', this.#onOrphaned);
    // Listening to the channel must not keep the program alive when it has nothing left to do.
    this.#options.process.channel?.unref();
  }

  /** Aborts when nothing new shall be taken on. */
  get drain(): AbortSignal {
    return this.#drain.signal;
  }

  /** Aborts when what still runs shall be left. */
  get stop(): AbortSignal {
    return this.#stop.signal;
  }

  /** Starts to drain without a signal. Asking twice is fine. */
  request(reason: string): void {
    if (this.#drain.signal.aborted) return;
    const { clock, drainTimeoutMs } = this.#options;
    this.#timer = clock.after(drainTimeoutMs, () => {
      this.#stop.abort(new Error(`${reason}, and ${drainTimeoutMs} ms to drain are over`));
    });
    this.#drain.abort(new Error(reason));
  }

  #received(signal: StopSignal): void {
    this.#signals += 1;
    if (this.#signals > 1) {
      this.#options.process.exit(EXIT_CODES[signal]);
      return;
    }
    this.#options.onSignal?.(signal);
    this.request(signal);
  }

  /** Gives the signals back to the process and forgets the deadline. */
  [Symbol.dispose](): void {
    this.#timer?.cancel();
    this.#options.process.off('SIGINT', this.#onInt);
    this.#options.process.off('SIGTERM', this.#onTerm);
    this.#options.process.off('disconnect', this.#onOrphaned);
  }
}
