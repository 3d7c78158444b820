import { encodeFrame, encodeFrameHeader, FrameType, LIMITS } from '@drawbridge/protocol';
import type { Frame } from '@drawbridge/protocol';
import type { OutgoingFrame } from './outbox.ts';
import type { SentFrames } from './sent-frames.ts';
import type { MessageSocket } from './socket.ts';
import { Turns } from './turns.ts';

/** Something that has frames to send when its turn comes. */
export interface FrameSource {
  /** The next frame it may send now, or undefined; then it asks for a turn again when that changes. */
  nextFrame(): OutgoingFrame | undefined;
}

/** Frames that are numbered and kept until the other end has them, as far as the egress cares. */
export interface CountedFrames {
  /** False while nothing counted may leave. */
  readonly isFlowing: boolean;
  readonly sent: Pick<SentFrames, 'isAmple' | 'isFull' | 'next' | 'push'>;
}

/** What an Egress tells its tunnel. */
export interface EgressOptions {
  /** Undefined: nothing is counted, and what was sent is gone. */
  readonly counted?: CountedFrames | undefined;
  /** Every frame that leaves passes here, in the order of the wire; `again` when it has left before. */
  readonly onSent: (frame: Frame, again: boolean) => void;
  /** More answers wait than a peer that reads its socket would let pile up. */
  readonly onFlood: () => void;
}

const FRAME_BYTES_MAX = LIMITS.frameHeaderBytes + LIMITS.framePayloadBytesMax;

/** Above this no frame is handed over: one of any size still fits, and so does the last CLOSE. */
const BUFFERED_BYTES_MAX = LIMITS.socketBufferBytesMax - 2 * FRAME_BYTES_MAX;

/** The one place where frames of a tunnel leave: sources take turns, urgent frames go first, the socket is never overfilled. */
export class Egress {
  readonly #options: EgressOptions;
  readonly #turns = new Turns<FrameSource>();
  /** About this leg alone: it goes with it. */
  readonly #ofLeg: Frame[] = [];
  readonly #urgent: Frame[] = [];
  readonly #ordered: Frame[] = [];
  /** What belongs to no channel yet, or any more, takes turns like one. */
  readonly #orderedSource: FrameSource = { nextFrame: () => this.#ordered.shift() };
  #socket: MessageSocket | undefined;
  #state: 'idle' | 'flushing' | 'stopped' = 'idle';

  constructor(options: EgressOptions) {
    this.#options = options;
  }

  /** From here on frames leave by way of this socket; undefined: they wait for the next one. */
  use(socket: MessageSocket | undefined): void {
    this.#ofLeg.length = 0;
    this.#socket = socket;
    this.flush();
  }

  /** Drops what says something about this leg and still waits. */
  dropOfLeg(type: FrameType): void {
    const kept = this.#ofLeg.filter((frame) => frame.type !== type);
    this.#ofLeg.splice(0, this.#ofLeg.length, ...kept);
  }

  /** Drops everything of channels that waits. */
  clear(): void {
    this.#turns.clear();
    this.#urgent.length = 0;
    this.#ordered.length = 0;
  }

  /** Asks for a turn for `source`. */
  ready(source: FrameSource): void {
    this.#turns.add(source);
    this.flush();
  }

  /** Sends before everything that waits. For HEARTBEAT, RECEIVED, WINDOW_UPDATE and a CLOSE with a code other than 0 (PROTOCOL.md §3.4). */
  overtake(frame: Frame): void {
    if (isCounted(frame)) this.#push(this.#urgent, frame);
    else if (this.#socket !== undefined) this.#push(this.#ofLeg, frame);
  }

  /** Sends in turn, after what was given here before. For CHANNEL_OPEN and for answers to offers. */
  inOrder(frame: Frame): void {
    if (this.#state !== 'stopped') this.#turns.add(this.#orderedSource);
    this.#push(this.#ordered, frame);
  }

  /** Drops what `inOrder` was given for this channel and has not left. False when nothing of it waits. */
  takeBack(channelId: number): boolean {
    const index = this.#ordered.findIndex((frame) => frame.channelId === channelId);
    if (index !== -1) this.#ordered.splice(index, 1);
    return index !== -1;
  }

  /** Hands the socket what it takes; called again whenever it has drained. */
  flush(): void {
    if (this.#state !== 'idle') return;
    this.#state = 'flushing';
    while (this.#socket !== undefined && this.#socket.bufferedBytes <= BUFFERED_BYTES_MAX) {
      if (!this.#sendNext(this.#socket)) break;
      // A source that was asked may have ended the tunnel.
      if (!this.#isFlushing()) return;
    }
    this.#state = 'idle';
  }

  /** Sends one more frame before everything else, and nothing after it. */
  stop(last?: Frame): void {
    if (this.#state === 'stopped') return;
    this.#state = 'stopped';
    this.clear();
    this.#ofLeg.length = 0;
    if (last !== undefined && this.#socket !== undefined) this.#send(this.#socket, last, false);
  }

  #isFlushing(): boolean {
    return this.#state === 'flushing';
  }

  #push(queue: Frame[], frame: Frame): void {
    if (this.#state === 'stopped') return;
    queue.push(frame);
    this.flush();
    if (queue.length > LIMITS.framesUrgentMax) this.#options.onFlood();
  }

  /** False when nothing may leave now. */
  #sendNext(socket: MessageSocket): boolean {
    const { counted } = this.#options;
    let frame: OutgoingFrame | undefined = this.#ofLeg.shift();
    let again = false;
    if (frame === undefined && counted?.isFlowing !== false) {
      frame = counted?.sent.next();
      again = frame !== undefined;
      if (frame === undefined && counted?.sent.isFull !== true) {
        frame = this.#urgent.shift() ?? (counted?.sent.isAmple === true ? undefined : this.#nextInTurn());
        if (frame !== undefined) counted?.sent.push(frame);
      }
    }
    if (frame === undefined) return false;
    this.#send(socket, frame, again);
    return true;
  }

  #nextInTurn(): OutgoingFrame | undefined {
    for (let source = this.#turns.next(); source !== undefined; source = this.#turns.next()) {
      const frame = source.nextFrame();
      if (frame === undefined) continue;
      this.#turns.add(source);
      return frame;
    }
    return undefined;
  }

  #send(socket: MessageSocket, frame: Frame, again: boolean): void {
    if (socket.sendParts === undefined) socket.send(encodeFrame(frame));
    else socket.sendParts(encodeFrameHeader(frame), frame.payload);
    this.#options.onSent(frame, again);
  }
}

/** Whether a frame has a number (PROTOCOL.md §3.6): those of channels have, but for HEARTBEAT. */
export function isCounted({ channelId, type }: Pick<Frame, 'channelId' | 'type'>): boolean {
  return channelId !== 0 && type !== FrameType.Heartbeat;
}
