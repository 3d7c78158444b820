import { ProtocolError, ResumeAckPayload, ResumePayload } from '@drawbridge/protocol';
import type { Frame } from '@drawbridge/protocol';
import type { Clock } from './clock.ts';
import { ReceivedFrames } from './received-frames.ts';
import { SentFrames } from './sent-frames.ts';

/** What a Resume tells its tunnel. */
export interface ResumeOptions {
  readonly clock: Clock;
  /** Time to say RECEIVED. */
  readonly report: (count: number) => void;
  /** The other end is another process than before: every channel is lost. */
  readonly onPeerLost: () => void;
}

/**
 * One end's part of PROTOCOL.md §3.6: counts frames of both directions, and agrees with the other end, on every new leg, on what has
 * to be sent again.
 */
export class Resume {
  readonly sent: SentFrames;
  readonly #options: ResumeOptions;
  readonly #received: ReceivedFrames;
  #epoch = 0;
  #peerInstance: string | undefined;
  #isFlowing = false;

  constructor(options: ResumeOptions) {
    this.#options = options;
    this.sent = new SentFrames(options.clock);
    this.#received = new ReceivedFrames(options.clock, options.report);
  }

  /** Both ends know what the other has: counted frames may leave. */
  get isFlowing(): boolean {
    return this.#isFlowing;
  }

  /** Nothing counted leaves until both ends have agreed on the next leg. */
  interrupt(): void {
    this.#isFlowing = false;
  }

  /** A counted frame has arrived, and had its effect. */
  noteReceived(frame: Frame): void {
    this.#received.note(frame.payload.byteLength);
  }

  /** RESUME has come: the answer to it. Throws ProtocolError for an epoch that does not rise. */
  resume({ epoch, peer_instance: peerInstance }: ResumePayload): ResumeAckPayload {
    if (epoch <= this.#epoch) throw new ProtocolError('frame_payload', `RESUME ${epoch} after ${this.#epoch}`);
    this.#epoch = epoch;
    this.#isFlowing = false;
    if (this.#peerInstance !== undefined && this.#peerInstance !== peerInstance) {
      this.sent.restart();
      this.#received.restart();
      this.#options.onPeerLost();
    }
    this.#peerInstance = peerInstance;
    return { epoch, received: this.#received.takeTotal() };
  }

  /** The other end's RESUME+ACK. One of an older epoch means nothing any more. Throws ProtocolError when it claims too much. */
  agreed({ epoch, received }: ResumeAckPayload): void {
    if (epoch > this.#epoch) throw new ProtocolError('frame_payload', `RESUME+ACK ${epoch} before its RESUME`);
    if (epoch < this.#epoch || this.#isFlowing) return;
    this.sent.rewind(received);
    this.#isFlowing = true;
  }

  stop(): void {
    this.#isFlowing = false;
    this.#received.stop();
  }
}
