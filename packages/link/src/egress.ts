import { encodeFrame, LIMITS } from '@drawbridge/protocol';
import type { Frame } from '@drawbridge/protocol';
import type { MessageSocket } from './socket.ts';
import { Turns } from './turns.ts';

/** Something that has frames to send when its turn comes. */
export interface FrameSource {
  /** The next frame it may send now, or undefined; then it asks for a turn again when that changes. */
  nextFrame(): Frame | undefined;
}

/** What an Egress tells its tunnel. */
export interface EgressOptions {
  readonly socket: MessageSocket;
  /** Every frame that leaves passes here, in the order of the wire. */
  readonly onSent: (frame: Frame) => void;
  /** More answers wait than a peer that reads its socket would let pile up. */
  readonly onFlood: () => void;
}

const FRAME_BYTES_MAX = LIMITS.frameHeaderBytes + LIMITS.framePayloadBytesMax;

/** Above this no frame is handed over: one of any size still fits, and so does the last CLOSE. */
const BUFFERED_BYTES_MAX = LIMITS.socketBufferBytesMax - 2 * FRAME_BYTES_MAX;

/** The one place where frames of a tunnel leave: sources take turns, urgent frames go first, the socket is never overfilled. */
export class Egress {
  readonly #socket: MessageSocket;
  readonly #onSent: (frame: Frame) => void;
  readonly #onFlood: () => void;
  readonly #turns = new Turns<FrameSource>();
  readonly #urgent: Frame[] = [];
  readonly #ordered: Frame[] = [];
  /** What belongs to no channel yet, or any more, takes turns like one. */
  readonly #orderedSource: FrameSource = { nextFrame: () => this.#ordered.shift() };
  #state: 'idle' | 'flushing' | 'stopped' = 'idle';

  constructor(options: EgressOptions) {
    this.#socket = options.socket;
    this.#onSent = options.onSent;
    this.#onFlood = options.onFlood;
  }

  /** Asks for a turn for `source`. */
  ready(source: FrameSource): void {
    this.#turns.add(source);
    this.flush();
  }

  /** Sends before everything that waits. For HEARTBEAT, WINDOW_UPDATE and a CLOSE with a code other than 0 (PROTOCOL.md §3.4). */
  overtake(frame: Frame): void {
    this.#push(this.#urgent, frame);
  }

  /** Sends in turn, after what was given here before. For CHANNEL_OPEN and for answers to offers. */
  inOrder(frame: Frame): void {
    if (this.#state !== 'stopped') this.#turns.add(this.#orderedSource);
    this.#push(this.#ordered, frame);
  }

  /** Hands the socket what it takes; called again whenever it has drained. */
  flush(): void {
    if (this.#state !== 'idle') return;
    this.#state = 'flushing';
    while (this.#socket.bufferedBytes <= BUFFERED_BYTES_MAX) {
      const frame = this.#urgent.shift() ?? this.#nextInTurn();
      if (frame === undefined) break;
      this.#send(frame);
      // A source that was asked may have ended the tunnel.
      if (!this.#isFlushing()) return;
    }
    this.#state = 'idle';
  }

  /** Sends one more frame before everything else, and nothing after it. */
  stop(last?: Frame): void {
    if (this.#state === 'stopped') return;
    this.#state = 'stopped';
    this.#turns.clear();
    this.#urgent.length = 0;
    this.#ordered.length = 0;
    if (last !== undefined) this.#send(last);
  }

  #isFlushing(): boolean {
    return this.#state === 'flushing';
  }

  #push(queue: Frame[], frame: Frame): void {
    if (this.#state === 'stopped') return;
    queue.push(frame);
    this.flush();
    if (queue.length > LIMITS.framesUrgentMax) this.#onFlood();
  }

  #nextInTurn(): Frame | undefined {
    for (let source = this.#turns.next(); source !== undefined; source = this.#turns.next()) {
      const frame = source.nextFrame();
      if (frame === undefined) continue;
      this.#turns.add(source);
      return frame;
    }
    return undefined;
  }

  #send(frame: Frame): void {
    this.#socket.send(encodeFrame(frame));
    this.#onSent(frame);
  }
}
