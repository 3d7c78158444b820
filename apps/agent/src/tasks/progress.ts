/** How far a file that others follow has grown: they learn of bytes only when those are in the file. */
export class Progress {
  #bytes = 0;
  #ended = false;
  #moved = Promise.withResolvers<void>();

  /** Bytes that can be read now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** True once the file will not grow any more. */
  get ended(): boolean {
    return this.#ended;
  }

  /** The first `bytes` bytes of the file can be read. */
  advanceTo(bytes: number): void {
    if (bytes <= this.#bytes) return;
    this.#bytes = bytes;
    this.#wake();
  }

  /** The file is complete. Calling it twice is fine. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** Resolves when there is more than `offset`, or when the file has ended. */
  async past(offset: number, signal: AbortSignal): Promise<void> {
    const aborted = Promise.withResolvers<never>();
    const abort = () => aborted.reject(signal.reason);
    signal.throwIfAborted();
    signal.addEventListener('abort', abort, { once: true });
    try {
      while (!this.#ended && this.#bytes <= offset) await Promise.race([this.#moved.promise, aborted.promise]);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  #wake(): void {
    this.#moved.resolve();
    this.#moved = Promise.withResolvers();
  }
}
