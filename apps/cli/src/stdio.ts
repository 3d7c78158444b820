import { fstatSync } from 'node:fs';
import { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { Readable, Writable } from 'node:stream';

/** Standard input and output of this program as one stream, each of which ends for itself. */
export function stdio(): Duplex {
  return new Pair(process.stdin, standardOutput());
}

/**
 * Standard output that can be ended while the program goes on, and that never keeps the rest of it waiting: `process.stdout` is
 * synchronous on a pipe, and stays open.
 */
function standardOutput(): Writable {
  const kind = fstatSync(1);
  if (kind.isFIFO() || kind.isSocket()) return new Socket({ fd: 1, readable: false, writable: true });
  return process.stdout;
}

/** Two streams as one: what it reads comes from `input`, what it is written goes to `output`. */
export class Pair extends Duplex {
  readonly #input: Readable;
  readonly #output: Writable;

  constructor(input: Readable, output: Writable) {
    super({ allowHalfOpen: true });
    this.#input = input;
    this.#output = output;
    input.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) input.pause();
    });
    input.once('end', () => this.push(null));
    for (const stream of [input, output]) stream.on('error', (error) => this.destroy(error));
    // Nobody reads any more; or all was written, and the other direction goes on.
    output.once('close', () => {
      if (!output.writableFinished) this.destroy();
    });
  }

  override _read(): void {
    this.#input.resume();
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#output.write(chunk, encoding, callback);
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#output.end(callback);
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#input.destroy();
    this.#output.destroy();
    callback(error);
  }
}
