import { closeSync, fchmodSync, fstatSync, mkdirSync, openSync, realpathSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { ControlError } from '@drawbridge/protocol';

/** A log file is put aside before it grows over this, unless the configuration says something else. */
export const LOG_FILE_BYTES_MAX = 10 * 1024 * 1024;

/** So many old log files are kept beside the current one. */
export const LOG_FILES_KEPT = 5;

/** Each of them is renamed when the file is put aside, while the program waits. */
export const LOG_FILES_KEPT_MAX = 100;

/** Only the owner may read what a program says about itself. */
const FILE_MODE = 0o600;
const DIR_MODE = 0o700;

/** What a log file is told when it is opened. */
export interface LogFileOptions {
  readonly path: string;
  /** Never exceeded, but by a single line that is longer. 0: the file is never put aside. */
  readonly maxBytes: number;
  /** `path.1`, the newest, to `path.<keep>`; the one after that is removed. */
  readonly keep: number;
  /** Called once when lines begin to be lost. */
  readonly onFailed: (error: unknown) => void;
  /** Called when lines can be written again, with how many were not. */
  readonly onRecovered: (linesLost: number) => void;
  /** The system's `write`, unless a test plays it. */
  readonly write?: (fd: number, bytes: Uint8Array) => number;
}

/**
 * A file of lines that puts itself aside by size. A line is in the file when `write` returns, so that what was logged before
 * a crash is there after it. A disk that is full costs the lines of that time, and never an error.
 */
export class LogFile implements Disposable {
  readonly #options: LogFileOptions;
  readonly #write: (fd: number, bytes: Uint8Array) => number;
  readonly #path: string;
  #fd: number | undefined;
  #size: number;
  /** The size from which on the next line goes to a new file. */
  #limit: number;
  #linesLost = 0;
  /** A line was cut short: the next one must not be glued to it. */
  #isTorn = false;

  /** Throws ControlError `invalid_request` when the file cannot be opened. */
  constructor(options: LogFileOptions) {
    this.#options = options;
    this.#write = options.write ?? writeSync;
    try {
      mkdirSync(dirname(options.path), { recursive: true, mode: DIR_MODE });
      this.#fd = openSync(options.path, 'a', FILE_MODE);
      const stats = fstatSync(this.#fd);
      // A device or a pipe has no size, and must not be renamed.
      this.#limit = stats.isFile() && options.maxBytes > 0 ? options.maxBytes : Number.POSITIVE_INFINITY;
      if (stats.isFile()) fchmodSync(this.#fd, FILE_MODE);
      this.#size = stats.size;
      // What is put aside is the file, not a link to it.
      this.#path = realpathSync(options.path);
    } catch (error) {
      this[Symbol.dispose]();
      throw new ControlError('invalid_request', `logging.file: cannot be opened: ${String(error)}`, { cause: error });
    }
  }

  /** Appends a line, which ends with a line end. */
  write(line: string): void {
    if (this.#fd === undefined) return;
    const bytes = Buffer.from(this.#isTorn ? `\n${line}` : line);
    if (this.#size > 0 && this.#size + bytes.length > this.#limit) this.#rotate();
    let written = 0;
    try {
      while (written < bytes.length) written += this.#write(this.#fd, bytes.subarray(written));
    } catch (error) {
      this.#isTorn ||= written > 0;
      this.#linesLost += 1;
      if (this.#linesLost === 1) this.#options.onFailed(error);
      return;
    } finally {
      this.#size += written;
    }
    this.#isTorn = false;
    const lost = this.#linesLost;
    this.#linesLost = 0;
    if (lost > 0) this.#options.onRecovered(lost);
  }

  /** Closing it twice is fine; lines that come later are dropped. */
  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  /**
   * The new file is there before the old one moves: when anything goes wrong we go on with the file we have, and try again
   * after as many bytes more.
   */
  #rotate(): void {
    const { maxBytes, keep } = this.#options;
    const fresh = `${this.#path}.new`;
    let fd: number | undefined;
    try {
      fd = openSync(fresh, 'w', FILE_MODE);
      for (let age = keep; age > 0; age -= 1) {
        renameIfThere(age === 1 ? this.#path : `${this.#path}.${age - 1}`, `${this.#path}.${age}`);
      }
      renameSync(fresh, this.#path);
    } catch {
      if (fd !== undefined) closeSync(fd);
      this.#limit = this.#size + maxBytes;
      return;
    }
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = fd;
    this.#size = 0;
    this.#limit = maxBytes;
    this.#isTorn = false;
  }
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
