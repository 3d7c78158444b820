import { ReplayRing } from '@drawbridge/link';

/** Bytes of one stream, and where in the output they begin. */
export interface OutputPart {
  readonly bytes: Uint8Array;
  readonly stderr: boolean;
  readonly offset: number;
}

/** Where the output goes over from one stream to the other. */
interface Change {
  readonly offset: number;
  readonly stderr: boolean;
}

/** Streams that take turns byte by byte must not cost more than their bytes: past this many turns the oldest bytes are gone. */
const CHANGES_MAX = 16_384;

/** What a session has printed: both streams in the order they came, addressed by offset, as far back as the ring reaches. */
export class SessionOutput {
  readonly #ring: ReplayRing;
  /** Ascending; the first one holds for the oldest byte. */
  #changes: Change[] = [];
  #startOffset = 0;
  #isOver = false;
  #news = Promise.withResolvers<void>();

  constructor(ringBytes: number) {
    this.#ring = new ReplayRing(ringBytes);
  }

  /** The oldest byte that can still be had. */
  get startOffset(): number {
    return Math.max(this.#startOffset, this.#ring.startOffset);
  }

  /** Bytes since the beginning. */
  get endOffset(): number {
    return this.#ring.endOffset;
  }

  /** True when nothing more comes. */
  get isOver(): boolean {
    return this.#isOver;
  }

  append(bytes: Uint8Array, stderr: boolean): void {
    if (bytes.byteLength === 0) return;
    if (this.#changes.at(-1)?.stderr !== stderr) this.#changes.push({ offset: this.endOffset, stderr });
    this.#ring.append(bytes);
    this.#forget();
    this.#tell();
  }

  /** Nothing more comes. */
  end(): void {
    this.#isOver = true;
    this.#tell();
  }

  /** From `offset` on, `bytesMax` of one stream at most; from the oldest byte on when that one is gone. Empty at the end. */
  read(offset: number, bytesMax: number): OutputPart {
    const from = Math.min(Math.max(offset, this.startOffset), this.endOffset);
    const next = this.#changes.findIndex((change) => change.offset > from);
    const until = this.#changes[next]?.offset ?? this.endOffset;
    const stderr = this.#changes.at(next === -1 ? -1 : next - 1)?.stderr ?? false;
    return { ...this.#ring.read(from, Math.min(until - from, bytesMax)), stderr };
  }

  /** Resolves with the next byte, or the end. */
  news(): Promise<void> {
    return this.#news.promise;
  }

  #tell(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }

  /** Changes before the oldest byte mean nothing any more. */
  #forget(): void {
    const tooMany = this.#changes.at(-CHANGES_MAX);
    if (this.#changes.length > CHANGES_MAX && tooMany !== undefined) this.#startOffset = tooMany.offset;
    const second = this.#changes[1];
    if (second === undefined || second.offset > this.startOffset) return;
    const kept = this.#changes.findLastIndex((change) => change.offset <= this.startOffset);
    this.#changes = this.#changes.slice(kept);
  }
}
