import { ControlError, LIMITS } from '@drawbridge/protocol';
import { backoffMs } from './backoff.ts';
import type { BackoffOptions } from './backoff.ts';
import type { Clock } from './clock.ts';
import { endOfDial } from './link-end.ts';
import type { LinkEnd } from './link-end.ts';
import { untilAborted } from './until-aborted.ts';

/** A live link, as far as dialing again is concerned. */
export interface Link extends AsyncDisposable {
  readonly ended: Promise<LinkEnd>;
}

/** One loss of the link, ready to be logged. */
export interface Loss {
  readonly end: LinkEnd;
  /** Transient failures in a row, this one included if it is one. */
  readonly failures: number;
  /** How long the link lived; 0 when it was never made. */
  readonly livedMs: number;
  readonly waitMs: number;
}

/** How to dial, and whom to tell. */
export interface StayLinkedOptions {
  /** Resolves once the server has accepted this end. What it rejects with is classified by `endOfDial`. */
  readonly dial: (signal: AbortSignal) => Promise<Link>;
  readonly backoff: BackoffOptions;
  readonly clock: Clock;
  readonly random: () => number;
  readonly onLost: (loss: Loss) => void;
  /** The credential is rejected: time does not heal it (S0-036, S0-037). Called instead of `onLost`. */
  readonly onAuthRejected: (loss: Loss) => void;
  /** Superseded too often: two machines share one identity. Called beside `onLost`. */
  readonly onDuplicateIdentity: (loss: Loss) => void;
}

/** Dials, waits for the end of the link, and dials again, until `signal` aborts or `attemptsMax` is reached. */
export async function stayLinked(options: StayLinkedOptions, signal: AbortSignal): Promise<never> {
  const { clock, backoff, random } = options;
  let failures = 0;
  let supersededAtMs: number[] = [];
  for (;;) {
    const { end, livedMs } = await oneLink(options, signal);
    if (livedMs >= LIMITS.healthyLinkMs) failures = 0;
    if (end.kind === 'transient' || end.kind === 'draining') failures += 1;
    const loss: Loss = { end, failures, livedMs, waitMs: waitMs(end, failures, backoff, random) };
    if (end.kind === 'auth') options.onAuthRejected(loss);
    else options.onLost(loss);
    if (end.kind === 'superseded') {
      const nowMs = clock.monotonic();
      supersededAtMs = [...supersededAtMs.filter((atMs) => nowMs - atMs < LIMITS.supersededWindowMs), nowMs];
      if (supersededAtMs.length >= LIMITS.supersededTimesMax) options.onDuplicateIdentity(loss);
    }
    if (backoff.attemptsMax >= 0 && failures > backoff.attemptsMax) {
      throw new ControlError('timed_out', `gave up after ${failures} attempts: ${end.reason}`, { cause: end.error });
    }
    await clock.sleep(loss.waitMs, signal);
  }
}

/** The life of one link, from its dial to its disposal. Rejects only when `signal` aborts. */
async function oneLink(
  { dial, clock }: StayLinkedOptions,
  signal: AbortSignal,
): Promise<{ end: LinkEnd; livedMs: number }> {
  signal.throwIfAborted();
  let linkedAtMs: number | undefined;
  const livedMs = () => (linkedAtMs === undefined ? 0 : clock.monotonic() - linkedAtMs);
  try {
    await using link = await dial(signal);
    linkedAtMs = clock.monotonic();
    const end = await untilAborted(link.ended, signal);
    return { end, livedMs: livedMs() };
  } catch (error) {
    signal.throwIfAborted();
    return { end: endOfDial(error), livedMs: livedMs() };
  }
}

function waitMs(end: LinkEnd, failures: number, backoff: BackoffOptions, random: () => number): number {
  switch (end.kind) {
    case 'transient':
    case 'draining':
      return backoffMs(backoff, failures - 1, random);
    case 'retry_after':
      return end.retryAfterMs + random() * (end.spreadMs ?? 0);
    case 'auth':
      return LIMITS.authCoolDownMs;
    case 'superseded':
      return LIMITS.supersededWaitMs;
  }
}
