/** The last lines of a stream of text, however it is cut into chunks. */
export class LineBuffer {
  readonly #linesMax: number;
  readonly #decoder = new TextDecoder();
  #lines: string[] = [];
  #rest = '';

  constructor(linesMax = 10_000) {
    this.#linesMax = linesMax;
  }

  /** Adds a chunk. Beyond the bound the oldest lines go. */
  push(chunk: Uint8Array): void {
    const lines = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split('\n');
    this.#rest = lines.pop() ?? '';
    this.#lines.push(...lines);
    this.#lines = this.#lines.slice(-this.#linesMax);
  }

  /** The lines that are complete. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  /** All of it, the line that is still open too. */
  get text(): string {
    return [...this.#lines, this.#rest].join('\n');
  }
}
