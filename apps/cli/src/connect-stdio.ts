import { ControlError } from '@drawbridge/client';
import type { OperatorTunnel } from '@drawbridge/client';
import type { Clock } from '@drawbridge/link';
import { CloseReason } from '@drawbridge/protocol';
import { splice } from '@drawbridge/runtime/splice';
import { patiently } from './patiently.ts';
import { stdio } from './stdio.ts';
import { untilSignal } from './until-signal.ts';

export interface ConnectStdioOptions {
  readonly open: (signal: AbortSignal) => Promise<OperatorTunnel>;
  readonly target: { readonly host: string; readonly port: number };
  readonly clock: Clock;
}

/**
 * Carries bytes between standard input and output and one channel of a tunnel, until both directions have ended. Rejects when the tunnel is
 * refused, when the channel is, or when it breaks. A signal ends all of it, and the lease; false says that there was one.
 */
export async function connectStdio({ open, target, clock }: ConnectStdioOptions): Promise<boolean> {
  let isDone = false;
  await untilSignal(async (signal) => {
    await using tunnel = await patiently(() => open(signal), clock, signal);
    const channel = await tunnel.channel(target, signal);
    signal.addEventListener('abort', () => channel.close({ code: CloseReason.Cancelled, reason: 'interrupted' }));
    const { end, error } = await splice(channel, stdio());
    signal.throwIfAborted();
    isDone = true;
    // Whoever was at this end has gone without waiting for the rest.
    if (error !== undefined || end.code === CloseReason.Ok) return;
    throw new ControlError('tunnel_unavailable', `the connection broke: ${end.reason} (code ${end.code})`);
  });
  return isDone;
}
