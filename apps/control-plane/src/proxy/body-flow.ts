import type { Readable, Writable } from 'node:stream';
import { PROXY_LIMITS } from './limits.ts';

/** A body on its way. */
export interface BodyFlow {
  /** Nothing more is carried. What still comes is dropped, so that it stands in nobody's way. */
  stop(): void;
}

/**
 * Carries a body from `source` to `sink` as fast as the sink takes it, and no faster. `moved` is called whenever bytes move. How
 * either ends is the caller's business.
 */
export function carryBody(source: Readable, sink: Writable, moved: () => void): BodyFlow {
  const carry = (chunk: Buffer) => {
    moved();
    if (!sink.write(chunk) && sink.writableLength > PROXY_LIMITS.unwrittenBytesMax) source.pause();
  };
  const drained = () => {
    moved();
    source.resume();
  };
  source.on('data', carry);
  sink.on('drain', drained);
  return {
    stop() {
      source.off('data', carry);
      sink.off('drain', drained);
      source.resume();
    },
  };
}
