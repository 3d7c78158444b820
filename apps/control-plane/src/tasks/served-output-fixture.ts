import type { ChannelOffer } from '@drawbridge/link';
import { CloseReason, TaskChannelMetadata } from '@drawbridge/protocol';
import type { ClosePayload } from '@drawbridge/protocol';

const CHUNK_BYTES = 50;

/** For tests: a channel on which the agent was asked for output. */
interface Read {
  readonly metadata: TaskChannelMetadata;
  /** How it ended, once it has. */
  end: ClosePayload | undefined;
}

/** For tests: serves a file in place of an agent, as badly as it is told to. */
export class ServedOutput {
  /** Every channel on which output was asked for, oldest first. */
  readonly reads: Read[] = [];
  /** After so many bytes of the next channels each breaks; then no more. */
  readonly breakAfter: number[] = [];
  /** What a channel that breaks is ended with; without it the tunnel is lost. */
  breaksWith: ClosePayload | undefined;
  /** With what the next channels are refused. */
  readonly refusals: string[] = [];
  /** After so many bytes of a channel nothing more comes. */
  holdAfter = Number.POSITIVE_INFINITY;
  endsWith: ClosePayload = { code: CloseReason.Ok, reason: 'complete' };
  readonly #file: Uint8Array;

  constructor(file: Uint8Array) {
    this.#file = file;
  }

  offsets(): number[] {
    return this.reads.map(({ metadata }) => metadata.since);
  }

  /** Answers one channel; `lose` breaks its tunnel. */
  serve(offer: ChannelOffer, lose: () => void): void {
    const metadata = TaskChannelMetadata.parse(offer.metadata);
    const read: Read = { metadata, end: undefined };
    this.reads.push(read);
    const refusal = this.refusals.shift();
    if (refusal !== undefined) return offer.refuse(refusal, 'the test says so');
    const channel = offer.accept(metadata.follow ? {} : { size: this.#file.byteLength });
    const breakAfter = this.breakAfter.shift();
    const { since } = metadata;
    const isWhole = breakAfter === undefined && this.holdAfter === Number.POSITIVE_INFINITY;
    const end = Math.min(this.#file.byteLength, since + Math.min(breakAfter ?? this.holdAfter, this.holdAfter));
    channel.ended.then((how) => (read.end = how)).catch(() => undefined);
    const serve = async () => {
      for (let at = since; at < end; at += CHUNK_BYTES) {
        await channel.send(this.#file.slice(at, Math.min(at + CHUNK_BYTES, end)));
      }
      if (isWhole) channel.close(this.endsWith);
      else if (breakAfter !== undefined && this.breaksWith !== undefined) channel.close(this.breaksWith);
      // What was sent has arrived by then: only what comes after it is lost.
      else if (breakAfter !== undefined) setImmediate(lose);
    };
    serve().catch(() => undefined);
  }
}
