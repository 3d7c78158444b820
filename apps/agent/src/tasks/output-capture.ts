import type { Readable } from 'node:stream';
import { ControlError } from '@drawbridge/protocol';
import { AGENT_LIMITS } from '../limits.ts';
import { taskFailureOf } from './errno.ts';

/** Where output goes: it is taken at once, and written as fast as the disk allows. */
export interface OutputSink {
  readonly unwrittenBytes: number;
  append(chunk: Uint8Array): void;
}

/**
 * Takes what a process prints to its files. It reads no faster than the disk writes: past a bound both pipes are paused,
 * and the process waits. When nothing more can be kept, `failed` aborts; from then on output is read and dropped, so that
 * the process can end.
 */
export class OutputCapture {
  readonly #failure = new AbortController();
  readonly #streams: Readable[] = [];
  #log: OutputSink | undefined;
  #result: OutputSink | undefined;
  #outputBytesLeft: number;
  #resultBytesLeft: number = AGENT_LIMITS.taskResultBytesMax;
  #paused = false;

  /** Keeps at most `outputBytesMax` of both streams together. */
  constructor(outputBytesMax: number) {
    this.#outputBytesLeft = outputBytesMax;
  }

  /** Before anything is read: `log` takes both streams, in order of arrival, and `result` what stdout alone says. */
  keepIn(log: OutputSink, result: OutputSink | undefined): void {
    this.#log = log;
    this.#result = result;
  }

  /** Aborts, with a `ControlError`, when the output is over its limit or cannot be written. */
  get failed(): AbortSignal {
    return this.#failure.signal;
  }

  /** Reads both streams from now on; resolves when both have ended and all they said has been taken. */
  async read(stdout: Readable, stderr: Readable): Promise<void> {
    this.#streams.push(stdout, stderr);
    stdout.on('data', (chunk: Buffer) => this.#take(chunk, true));
    stderr.on('data', (chunk: Buffer) => this.#take(chunk, false));
    await Promise.all([closed(stdout), closed(stderr)]);
  }

  /** The owner of the logs calls it after each write: the pipes flow again once there is room. */
  written(): void {
    if (!this.#paused || this.#unwrittenBytes > AGENT_LIMITS.outputUnwrittenBytesResume) return;
    this.#resume();
  }

  /** The owner of the logs calls it when one of them failed. */
  fail(error: unknown): void {
    this.#failure.abort(taskFailureOf(error));
    // Nothing more is kept, so nothing is waited for.
    this.#resume();
  }

  /** Stops reading, whoever still holds the other end. */
  stop(): void {
    for (const stream of this.#streams) stream.destroy();
  }

  get #unwrittenBytes(): number {
    return (this.#log?.unwrittenBytes ?? 0) + (this.#result?.unwrittenBytes ?? 0);
  }

  #take(chunk: Buffer, isStdout: boolean): void {
    if (this.failed.aborted) return;
    const kept = chunk.subarray(0, this.#outputBytesLeft);
    this.#outputBytesLeft -= kept.byteLength;
    this.#log?.append(kept);
    if (isStdout && this.#result !== undefined) {
      const answer = kept.subarray(0, this.#resultBytesLeft);
      this.#resultBytesLeft -= answer.byteLength;
      this.#result.append(answer);
    }
    if (kept.byteLength < chunk.byteLength) {
      this.fail(new ControlError('output_limit', 'the task printed more than it may'));
      return;
    }
    if (this.#paused || this.#unwrittenBytes < AGENT_LIMITS.outputUnwrittenBytesMax) return;
    this.#paused = true;
    for (const stream of this.#streams) stream.pause();
  }

  #resume(): void {
    this.#paused = false;
    for (const stream of this.#streams) stream.resume();
  }
}

/** An error of a pipe ends it like any other end: what was read stays. */
function closed(stream: Readable): Promise<void> {
  return new Promise((resolve) => {
    stream.once('error', () => {});
    stream.once('close', () => resolve());
  });
}
