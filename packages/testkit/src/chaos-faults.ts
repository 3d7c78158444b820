/** What is wrong with one direction of a network, now. Every connection that goes this way asks it before each byte. */
export class ChaosFaults {
  /** How long everything is under way. */
  delayMs = 0;
  /** How much each connection carries. */
  bytesPerSecond = Infinity;
  /** Nothing gets through, and nothing gets lost either: senders try again, as TCP does. */
  blocked = false;
  #bytesToFlip: number | undefined;
  #bytesToCut: number | undefined;

  /** Flips one bit of the byte that comes after the next `afterBytes` bytes, once. */
  corrupt(afterBytes: number): void {
    this.#bytesToFlip = afterBytes;
  }

  /** Cuts the connection that carries the last of the next `byteCount` bytes, right behind it, once. */
  cutAfter(byteCount: number): void {
    if (byteCount < 1) throw new RangeError(`cut after ${byteCount} bytes: at least 1`);
    this.#bytesToCut = byteCount;
  }

  /** Everything is well again. */
  heal(): void {
    this.delayMs = 0;
    this.bytesPerSecond = Infinity;
    this.blocked = false;
    this.#bytesToFlip = undefined;
    this.#bytesToCut = undefined;
  }

  /** How many of the next `byteCount` bytes may go before a cut. */
  bytesBeforeCut(byteCount: number): number {
    return Math.min(byteCount, this.#bytesToCut ?? byteCount);
  }

  /** Counts `bytes` as gone and says whether their connection is cut behind them. Flips the bit if it is among them. */
  carry(bytes: Uint8Array): 'cut' | 'go on' {
    this.#flip(bytes);
    if (this.#bytesToCut === undefined) return 'go on';
    this.#bytesToCut -= bytes.byteLength;
    if (this.#bytesToCut > 0) return 'go on';
    this.#bytesToCut = undefined;
    return 'cut';
  }

  #flip(bytes: Uint8Array): void {
    if (this.#bytesToFlip === undefined) return;
    const byte = bytes[this.#bytesToFlip];
    if (byte === undefined) {
      this.#bytesToFlip -= bytes.byteLength;
      return;
    }
    bytes[this.#bytesToFlip] = byte ^ 1;
    this.#bytesToFlip = undefined;
  }
}
