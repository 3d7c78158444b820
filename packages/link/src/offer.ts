import { ControlError } from '@drawbridge/protocol';
import type { ChannelOpenPayload } from '@drawbridge/protocol';
import type { Channel, ChannelOffer } from './channel.ts';

/** What the tunnel does with an answer. */
export interface OfferAnswers {
  accept(metadata: Record<string, unknown> | undefined): Channel;
  refuse(code: string, message: string): void;
}

/** A peer's CHANNEL_OPEN that waits for its answer. */
export class Offer implements ChannelOffer {
  readonly id: number;
  readonly protocol: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly #answers: OfferAnswers;
  readonly #gone = new AbortController();
  #state: 'waiting' | 'answered' | 'gone' = 'waiting';

  constructor(id: number, open: ChannelOpenPayload, answers: OfferAnswers) {
    this.id = id;
    this.protocol = open.protocol;
    this.metadata = open.metadata;
    this.#answers = answers;
  }

  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  accept(metadata?: Record<string, unknown>): Channel {
    this.#answer();
    if (this.#state === 'gone') throw new ControlError('cancelled', `channel ${this.id}: nobody waits for it any more`);
    return this.#answers.accept(metadata);
  }

  refuse(code: string, message: string): void {
    this.#answer();
    if (this.#state === 'answered') this.#answers.refuse(code, message);
  }

  /** Nobody waits for an answer any more. */
  withdraw(reason: Error): void {
    if (this.#state !== 'waiting') return;
    this.#state = 'gone';
    this.#gone.abort(reason);
  }

  #answer(): void {
    if (this.#state === 'answered') throw new Error(`channel ${this.id} was answered before`);
    if (this.#state === 'waiting') this.#state = 'answered';
  }
}
