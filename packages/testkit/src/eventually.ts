import { type Clock, systemClock, withTimeout } from '@drawbridge/link';
import { inspect } from 'node:util';

/** What `eventually` waits for, and how long. */
export interface EventuallyOptions<T> {
  /** Completes the sentence "waited 20000 ms for …". */
  readonly what: string;
  readonly timeoutMs?: number;
  /** When it is given, a value is good only if this says so; the error tells the last value that was not. */
  readonly until?: (value: T) => boolean;
  readonly clock?: Clock;
}

/** Nothing here takes this long, unless the machine is busy elsewhere. */
const TIMEOUT_MS = 20_000;
const FIRST_PAUSE_MS = 5;
const PAUSE_MS_MAX = 100;

/** A value that says "not yet" is one of these. */
type NotYet = undefined | null | false;

/**
 * Asks for `fact` until it is there: neither undefined, null nor false, and good for `until`. A fact that throws is not
 * there yet, so an assertion is a fact. Fails with what it waited for and the last thing it saw.
 */
export async function eventually<T>(
  fact: () => T | Promise<T>,
  options: EventuallyOptions<Exclude<T, NotYet>>,
): Promise<Exclude<T, NotYet>> {
  const { what, until = () => true, timeoutMs = TIMEOUT_MS, clock = systemClock } = options;
  const deadlineMs = clock.monotonic() + timeoutMs;
  const remainingMs = () => Math.max(0, deadlineMs - clock.monotonic());
  let seen: Seen<T> = { error: new Error('no answer yet') };
  const tooLate = () => timeoutError(`waited ${timeoutMs} ms for ${what}`, seen);
  let pauseMs = FIRST_PAUSE_MS;
  for (;;) {
    // A fact that never answers is no reason to wait longer.
    seen = await withTimeout(clock, remainingMs(), look(fact), tooLate);
    if ('value' in seen && isThere(seen.value) && until(seen.value)) return seen.value;
    if (remainingMs() === 0) throw tooLate();
    await clock.sleep(Math.min(pauseMs, remainingMs()));
    pauseMs = Math.min(pauseMs * 2, PAUSE_MS_MAX);
  }
}

type Seen<T> = { readonly value: T } | { readonly error: unknown };

async function look<T>(fact: () => T | Promise<T>): Promise<Seen<T>> {
  try {
    return { value: await fact() };
  } catch (error) {
    return { error };
  }
}

function isThere<T>(value: T): value is Exclude<T, NotYet> {
  return value !== undefined && value !== null && value !== false;
}

function timeoutError(message: string, seen: Seen<unknown>): Error {
  if ('value' in seen) return new Error(`${message}; last value: ${inspect(seen.value)}`);
  const reason = seen.error instanceof Error ? seen.error.message : inspect(seen.error);
  return new Error(`${message}; last error: ${reason}`, { cause: seen.error });
}
