import { ApiError, ControlError } from '@drawbridge/client';
import type { OperatorTunnel, TunnelEnd, TunnelStatus } from '@drawbridge/client';
import { BACKOFF, backoffMs, untilAborted } from '@drawbridge/link';
import type { Clock } from '@drawbridge/link';
import { CloseReason } from '@drawbridge/protocol';

/** What becomes of the tunnel, besides what it says itself. */
export type KeeperEvent =
  | TunnelStatus
  /** A lease, the first one or another. */
  | { readonly is: 'opened'; readonly tunnelId: string }
  /** There is none, and asking for one failed. */
  | { readonly is: 'waiting'; readonly reason: string; readonly waitMs: number }
  /** There is none, and nobody wants one. */
  | { readonly is: 'idle' };

export interface TunnelKeeperOptions {
  readonly open: (onStatus: (status: TunnelStatus) => void, signal: AbortSignal) => Promise<OperatorTunnel>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly onEvent: (event: KeeperEvent) => void;
}

const RETRY = { ...BACKOFF.full_jitter, baseMs: 500, maxMs: 10_000 };
/** A tunnel that lived this long was a good one: the next failure is a first one. */
const HEALTHY_MS = 10_000;

/** What of a refusal time does not heal. An agent that is away comes back, and a limit is somebody else's lease. */
const FINAL: ReadonlySet<string> = new Set([
  'agent_not_found',
  'auth_failed',
  'forbidden',
  'invalid_request',
  'operation_not_allowed',
  'unauthenticated',
]);

/** Ends that are somebody's will: asking again would be against it. */
const FINAL_ENDS: Readonly<Record<number, 'cancelled' | 'forbidden'>> = {
  [CloseReason.Forbidden]: 'forbidden',
  [CloseReason.Cancelled]: 'cancelled',
};

/** Keeps one tunnel open: a lease that is over is followed by another, for as long as `run` is not aborted. */
export class TunnelKeeper implements AsyncDisposable {
  readonly #options: TunnelKeeperOptions;
  #current: OperatorTunnel | undefined;
  #next = Promise.withResolvers<OperatorTunnel>();
  #wanted = Promise.withResolvers<undefined>();

  constructor(options: TunnelKeeperOptions) {
    this.#options = options;
    this.#next.promise.catch(() => undefined);
  }

  /** The tunnel of now, if there is one. */
  get current(): OperatorTunnel | undefined {
    return this.#current;
  }

  /** The first tunnel. Rejects with what it was refused with. */
  async start(signal: AbortSignal): Promise<void> {
    await this.#open(signal);
  }

  /** Replaces tunnels that are over. Rejects with the signal's reason, or when there is no way to another one. */
  async run(signal: AbortSignal): Promise<never> {
    const { clock } = this.#options;
    let failures = 0;
    try {
      for (;;) {
        const openedMs = clock.monotonic();
        if (this.#current !== undefined) await this.#afterEnd(await untilAborted(this.#current.ended, signal), signal);
        if (clock.monotonic() - openedMs >= HEALTHY_MS) failures = 0;
        failures = await this.#reopen(failures, signal);
      }
    } catch (error) {
      this.#next.reject(error);
      throw error;
    }
  }

  /** A tunnel to open channels on, now or when there is one again. */
  tunnel(signal: AbortSignal): Promise<OperatorTunnel> {
    this.#wanted.resolve(undefined);
    return untilAborted(this.#next.promise, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#next.reject(new ControlError('cancelled', 'stopped'));
    const tunnel = this.#current;
    this.#current = undefined;
    await tunnel?.close();
  }

  async #afterEnd({ code, reason }: TunnelEnd, signal: AbortSignal): Promise<void> {
    this.#current = undefined;
    this.#next = Promise.withResolvers();
    this.#next.promise.catch(() => undefined);
    const final = FINAL_ENDS[code];
    if (final !== undefined) throw new ControlError(final, `the tunnel was ended: ${reason}`);
    // Nobody used it: the next connection asks for another.
    if (code !== CloseReason.IdleTimeout) return;
    this.#wanted = Promise.withResolvers();
    this.#options.onEvent({ is: 'idle' });
    await untilAborted(this.#wanted.promise, signal);
  }

  /** Resolves to the failures in a row, so that tunnels that end at once are not asked for without end. */
  async #reopen(before: number, signal: AbortSignal): Promise<number> {
    const { clock, random, onEvent } = this.#options;
    let reason = 'the last tunnel ended at once';
    for (let failures = before; ; failures += 1) {
      if (failures > 0) {
        const waitMs = backoffMs(RETRY, failures - 1, random);
        onEvent({ is: 'waiting', reason, waitMs });
        await clock.sleep(waitMs, signal);
      }
      try {
        await this.#open(signal);
        return failures + 1;
      } catch (error) {
        signal.throwIfAborted();
        if (isFinal(error)) throw error;
        reason = error instanceof Error ? error.message : String(error);
      }
    }
  }

  async #open(signal: AbortSignal): Promise<void> {
    const { open, onEvent } = this.#options;
    let tunnel: OperatorTunnel | undefined;
    // What is said before it is ours is about an attempt.
    const onStatus = (status: TunnelStatus) => {
      if (tunnel !== undefined && tunnel === this.#current) onEvent(status);
    };
    tunnel = await open(onStatus, signal);
    this.#current = tunnel;
    onEvent({ is: 'opened', tunnelId: tunnel.tunnelId });
    this.#next.resolve(tunnel);
  }
}

function isFinal(error: unknown): boolean {
  return (error instanceof ApiError || error instanceof ControlError) && FINAL.has(error.code);
}
