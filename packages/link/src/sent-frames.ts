import { LIMITS, ProtocolError } from '@drawbridge/protocol';
import type { Clock } from './clock.ts';
import { DeliveryPace } from './delivery-pace.ts';
import type { OutgoingFrame } from './outbox.ts';

/** Room at the front of the array that is not worth moving what is behind it. */
const SLACK_FRAMES = 1_024;

interface Sent {
  readonly frame: OutgoingFrame;
  /** When it left, last. */
  atMs: number;
}

/**
 * The counted frames this end has sent and the other may not have: kept, by reference, until the other says that it has them, and
 * given out again after a resume (PROTOCOL.md §3.6).
 */
export class SentFrames {
  readonly #framesMax: number;
  readonly #clock: Clock;
  readonly #pace: DeliveryPace;
  #frames: (Sent | undefined)[] = [];
  /** Payload of the kept frames. */
  #bytes = 0;
  /** Index of the oldest frame that is kept; before it there is nothing. */
  #head = 0;
  /** Index of the next frame to send on this leg; at the end of the array when all were. */
  #cursor = 0;
  /** Frames the other end has, since its instance began. */
  #received = 0;

  constructor(clock: Clock, framesMax: number = LIMITS.framesUnreceivedMax) {
    this.#clock = clock;
    this.#pace = new DeliveryPace(clock);
    this.#framesMax = framesMax;
  }

  /** Kept frames. */
  get size(): number {
    return this.#frames.length - this.#head;
  }

  /** No frame more may be sent before the other end has said that it has some. */
  get isFull(): boolean {
    return this.size >= this.#framesMax;
  }

  /** As much is on its way as the way holds: more data should wait here, where what is urgent passes it. */
  get isAmple(): boolean {
    return this.#bytes >= this.#pace.bytesMax;
  }

  /** Notes a frame that is leaving for the first time. */
  push(frame: OutgoingFrame): void {
    this.#frames.push({ frame, atMs: this.#clock.monotonic() });
    this.#bytes += frame.payload.byteLength;
    this.#cursor = this.#frames.length;
  }

  /** The other end has `count` more of them. Throws ProtocolError when it cannot. */
  dropReceived(count: number): void {
    if (count > this.#cursor - this.#head) {
      throw new ProtocolError('frame_payload', `RECEIVED ${count} of ${this.#cursor - this.#head} frames`);
    }
    this.#received += count;
    const first = this.#head;
    this.#head += count;
    const bytesBefore = this.#bytes;
    const wasAmple = this.isAmple;
    const last = this.#frames[this.#head - 1];
    for (let index = first; index < this.#head; index += 1) this.#drop(index);
    if (last !== undefined && count > 0)
      this.#pace.received(bytesBefore - this.#bytes, this.#clock.monotonic() - last.atMs, wasAmple);
    if (this.#head === this.#frames.length) this.#compact();
    else if (this.#head > SLACK_FRAMES && this.#head > this.#frames.length / 2) this.#compact();
  }

  /** A new leg: the other end has `total` frames of ours, the rest is sent again. Throws ProtocolError when it cannot have so many. */
  rewind(total: number): void {
    const count = total - this.#received;
    if (count < 0 || count > this.size) {
      throw new ProtocolError(
        'frame_payload',
        `received ${total}, but ${this.#received} to ${this.#received + this.size} can be`,
      );
    }
    this.#cursor = this.#frames.length;
    this.dropReceived(count);
    this.#cursor = this.#head;
    this.#pace.restart();
  }

  /** The next frame to send again on this leg. */
  next(): OutgoingFrame | undefined {
    const sent = this.#frames[this.#cursor];
    if (sent === undefined) return undefined;
    this.#cursor += 1;
    sent.atMs = this.#clock.monotonic();
    return sent.frame;
  }

  /** The other end has lost its state: nothing of it is left to be sent, and counting begins anew. */
  restart(): void {
    this.#frames = [];
    this.#bytes = 0;
    this.#head = 0;
    this.#cursor = 0;
    this.#received = 0;
  }

  #drop(index: number): void {
    const frame = this.#frames[index]?.frame;
    this.#frames[index] = undefined;
    this.#bytes -= frame?.payload.byteLength ?? 0;
    frame?.onReceived?.();
  }

  #compact(): void {
    this.#frames = this.#frames.slice(this.#head);
    this.#cursor -= this.#head;
    this.#head = 0;
  }
}
