import type { Leg, SocketEnd, Timer } from '@drawbridge/link';
import { WsClose } from '@drawbridge/protocol';

/** The two ends of a tunnel, as the relay between them sees it. */
export type Side = 'operator' | 'agent';

/** One end: its leg, and where its counted frames stand. */
export interface RelayEnd {
  readonly side: Side;
  leg: Leg | undefined;
  instance: string | undefined;
  /** It has answered the current RESUME: what it sends from then on is forwarded. */
  hasAgreed: boolean;
  /** Number of its last counted frame, and the highest there ever was; only to tell what is sent again. */
  position: number;
  highest: number;
  drainTimer: Timer | undefined;
}

/** An end that has never been connected. */
export function endOf(side: Side): RelayEnd {
  return {
    side,
    leg: undefined,
    instance: undefined,
    hasAgreed: false,
    position: 0,
    highest: 0,
    drainTimer: undefined,
  };
}

/** Its socket was closed with 1009, before the message was even read: no frame is that long. */
export function isTooLong(end: SocketEnd): end is SocketEnd & { readonly error: Error } {
  return end.error !== undefined && 'closeCode' in end.error && end.error.closeCode === WsClose.MessageTooBig;
}
