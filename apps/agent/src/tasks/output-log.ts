import { createHash, type Hash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { createTaskFile } from './task-dir.ts';

/** What a log holds once it is closed. */
export interface LogSummary {
  readonly bytes: number;
  readonly sha256: string;
}

/** Told to whoever owns the log. */
export interface OutputLogEvents {
  /** The first `bytes` bytes are in the file: they can be announced. */
  onWritten(bytes: number): void;
  /** A write failed; everything from here on is left out. Told once. */
  onFailed(error: unknown): void;
}

/**
 * The append side of one file of a task. Chunks are written in the order they came, one write at a time, and count only
 * once the write has returned. The owner bounds what waits here by looking at `unwrittenBytes`.
 */
export class OutputLog {
  readonly #file: FileHandle;
  readonly #events: OutputLogEvents;
  readonly #hash: Hash = createHash('sha256');
  #queue: Uint8Array[] = [];
  #unwrittenBytes = 0;
  #bytes = 0;
  #failed = false;
  #writing: Promise<void> | undefined;
  #closing: Promise<LogSummary> | undefined;

  private constructor(file: FileHandle, events: OutputLogEvents) {
    this.#file = file;
    this.#events = events;
  }

  /** Makes the file, which must not be there yet. */
  static async create(path: string, events: OutputLogEvents): Promise<OutputLog> {
    return new OutputLog(await createTaskFile(path), events);
  }

  /** Bytes taken and not in the file yet. */
  get unwrittenBytes(): number {
    return this.#unwrittenBytes;
  }

  /** Takes `chunk`, which must not change afterwards. After a failed write, or `close`, it is dropped. */
  append(chunk: Uint8Array): void {
    if (this.#failed || this.#closing !== undefined || chunk.byteLength === 0) return;
    this.#queue.push(chunk);
    this.#unwrittenBytes += chunk.byteLength;
    this.#writing ??= this.#writeAll();
  }

  /** Writes what was taken, makes it durable, and closes the file. Calling it twice is fine. */
  close(): Promise<LogSummary> {
    this.#closing ??= this.#finish();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #writeAll(): Promise<void> {
    try {
      for (;;) {
        const batch = this.#queue;
        if (batch.length === 0) return;
        this.#queue = [];
        for (const chunk of batch) await this.#write(chunk);
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#writing = undefined;
    }
  }

  /** A nearly full disk takes a part of a chunk: what it took is in the file and counts. */
  async #write(chunk: Uint8Array): Promise<void> {
    let rest = chunk;
    while (rest.byteLength > 0) {
      const { bytesWritten } = await this.#file.write(rest);
      this.#hash.update(rest.subarray(0, bytesWritten));
      this.#bytes += bytesWritten;
      this.#unwrittenBytes -= bytesWritten;
      this.#events.onWritten(this.#bytes);
      rest = rest.subarray(bytesWritten);
    }
  }

  #fail(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#queue = [];
    this.#unwrittenBytes = 0;
    this.#events.onFailed(error);
  }

  async #finish(): Promise<LogSummary> {
    await this.#writing;
    try {
      await this.#file.datasync();
    } catch (error) {
      this.#fail(error);
    } finally {
      await this.#file.close();
    }
    return { bytes: this.#bytes, sha256: this.#hash.digest('hex') };
  }
}
