import type { ChannelOffer } from './channel.ts';
import type { Clock } from './clock.ts';
import type { WindowBudget } from './credit.ts';
import type { MessageSocket, SocketEnd } from './socket.ts';

/** What one end of a tunnel is made from. */
export interface TunnelOptions {
  /** Its first leg, whose ends have agreed (after CONNECT_ACK). */
  readonly socket?: MessageSocket;
  /** Given, the tunnel outlives its legs, and both ends resume (PROTOCOL.md §3.6); without it, the tunnel is its one leg. */
  readonly resume?: ResumeSettings;
  /** Which channel ids this end opens: the operator's end odd ones, the agent's even ones. */
  readonly opens: 'odd' | 'even';
  readonly clock: Clock;
  /** Decides on a channel the peer opens; without it every one is refused. */
  readonly accept?: (offer: ChannelOffer) => void;
  readonly budget?: WindowBudget;
  readonly heartbeatIntervalMs?: number;
}

export interface ResumeSettings {
  /** How long the tunnel waits for its next leg; then it ends with code 2. */
  readonly graceMs: number;
  /** A leg is gone: somebody has to bring the next one with `attach`. */
  readonly onLegLost?: (end: SocketEnd) => void;
}

/** How a tunnel ended: `code` is a CloseReason, `by` says who decided. */
export interface TunnelEnd {
  readonly code: number;
  readonly reason: string;
  readonly by: 'here' | 'peer' | 'loss';
  /** How its last leg was closed. */
  readonly socket: SocketEnd;
}

/** What a tunnel has had to do twice, or wait for, since it began. */
export interface TunnelStats {
  /** Times that it went on by way of other legs than before. */
  readonly resumes: number;
  readonly resentBytes: number;
  /** Times that a channel had data and no credit. */
  readonly creditStalls: number;
}
