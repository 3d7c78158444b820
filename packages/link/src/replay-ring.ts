/** What a ring still has from an offset on. */
export interface Replay {
  readonly bytes: Uint8Array;
  /** Where `bytes` begin. */
  readonly offset: number;
  /** The offset asked for is not in the ring: what is missing is gone, or was never there. */
  readonly gap: boolean;
}

/** The last bytes of a stream, addressed by their offset from its beginning. */
export class ReplayRing {
  readonly capacityBytes: number;
  /** Made with the first byte: a stream that stays silent costs nothing. */
  #bytes: Uint8Array | undefined;
  #endOffset = 0;
  #startOffset = 0;

  constructor(capacityBytes: number) {
    this.capacityBytes = capacityBytes;
  }

  /** The offset of the oldest byte that is still here. */
  get startOffset(): number {
    return this.#startOffset;
  }

  /** The offset that the next byte will have. */
  get endOffset(): number {
    return this.#endOffset;
  }

  /** Copies `bytes` in; the oldest give way. */
  append(bytes: Uint8Array): void {
    const capacity = this.capacityBytes;
    const ring = (this.#bytes ??= new Uint8Array(capacity));
    const kept = bytes.subarray(Math.max(0, bytes.byteLength - capacity));
    const at = (this.#endOffset + bytes.byteLength - kept.byteLength) % capacity;
    const first = kept.subarray(0, capacity - at);
    ring.set(first, at);
    ring.set(kept.subarray(first.byteLength), 0);
    this.#endOffset += bytes.byteLength;
    this.#startOffset = Math.max(this.#startOffset, this.#endOffset - capacity);
  }

  /** A copy of what is here from `sinceOffset` on, `bytesMax` at most. Outside the ring it starts at the nearest byte and says so. */
  read(sinceOffset: number, bytesMax: number = this.capacityBytes): Replay {
    const offset = Math.min(Math.max(sinceOffset, this.#startOffset), this.#endOffset);
    const bytes = new Uint8Array(Math.min(this.#endOffset - offset, bytesMax));
    if (this.#bytes !== undefined) {
      const at = offset % this.capacityBytes;
      const first = this.#bytes.subarray(at, at + bytes.byteLength);
      bytes.set(first);
      bytes.set(this.#bytes.subarray(0, bytes.byteLength - first.byteLength), first.byteLength);
    }
    return { bytes, offset, gap: offset !== sinceOffset };
  }
}
