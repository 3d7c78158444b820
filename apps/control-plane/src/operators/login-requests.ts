import { randomInt, randomUUID } from 'node:crypto';
import type { Clock } from '@drawbridge/link';
import { ControlError } from '@drawbridge/protocol';
import { secretsEqual } from '@drawbridge/runtime';
import { newSecret, secretHash } from './secrets.ts';

/** How long a command line waits to be let in, how often it asks, and how many may wait at once; the oldest gives way. */
const REQUEST_MS = 10 * 60_000;
export const POLL_SECONDS = 2;
const REQUESTS_MAX = 256;
/** Codes a person types or compares: no vowels, no look-alikes. */
const CODE_LETTERS = 'BCDFGHJKLMNPQRSTVWXZ';
const CODE_LENGTH = 8;

interface Entry {
  readonly label: string;
  readonly address: string | null;
  readonly userCode: string;
  readonly pollHash: string;
  readonly expiresMs: number;
  state: { kind: 'pending' } | { kind: 'denied' } | { kind: 'approved'; userId: string };
}

/** What a person sees before they let a command line in. */
export interface PendingLogin {
  readonly id: string;
  readonly label: string;
  readonly address: string | null;
  readonly userCode: string;
}

/**
 * Signs a command line in by way of somebody's browser (the shape of RFC 8628): it shows a code and polls, a signed-in
 * person compares the code and says yes. Requests live in memory: a restart voids them.
 */
export class LoginRequests {
  readonly #entries = new Map<string, Entry>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `pollSecret` is for the command line alone. */
  create(label: string, address: string | null) {
    const oldest = this.#entries.keys().next();
    if (this.#entries.size >= REQUESTS_MAX && oldest.done !== true) this.#entries.delete(oldest.value);
    const id = randomUUID();
    const pollSecret = newSecret();
    const expiresMs = this.#clock.now() + REQUEST_MS;
    const entry: Entry = {
      label,
      address,
      userCode: newCode(),
      pollHash: secretHash(pollSecret),
      expiresMs,
      state: { kind: 'pending' },
    };
    this.#entries.set(id, entry);
    return { id, userCode: entry.userCode, pollSecret, expiresAt: new Date(expiresMs).toISOString() };
  }

  /** What a signed-in person is asked about. Throws ControlError `login_request_not_found`. */
  look(id: string): PendingLogin {
    const { label, address, userCode, state } = this.#find(id);
    if (state.kind !== 'pending') throw new ControlError('conflict', 'this request was answered before');
    return { id, label, address, userCode };
  }

  /** The person's answer; it counts once. */
  answer(id: string, answer: 'approve' | 'deny', userId: string): void {
    this.look(id);
    this.#find(id).state = answer === 'approve' ? { kind: 'approved', userId } : { kind: 'denied' };
  }

  /** The user who said yes, once; undefined while nobody has answered. Throws `login_denied` after a no. */
  poll(id: string, pollSecret: string): { userId: string; label: string; address: string | null } | undefined {
    const entry = this.#find(id);
    if (!secretsEqual(secretHash(pollSecret), entry.pollHash)) throw missing();
    if (entry.state.kind === 'pending') return undefined;
    this.#entries.delete(id);
    if (entry.state.kind === 'denied') throw new ControlError('login_denied', 'the request was denied in the browser');
    return { userId: entry.state.userId, label: entry.label, address: entry.address };
  }

  /** Voids what the user has said yes to and nobody has fetched yet. */
  forget(userId: string): void {
    for (const [id, { state }] of this.#entries) {
      if (state.kind === 'approved' && state.userId === userId) this.#entries.delete(id);
    }
  }

  #find(id: string): Entry {
    const entry = this.#entries.get(id);
    if (entry !== undefined && entry.expiresMs > this.#clock.now()) return entry;
    this.#entries.delete(id);
    throw missing();
  }
}

function missing(): ControlError {
  return new ControlError('login_request_not_found', 'this request to sign in is unknown, answered or too old');
}

function newCode(): string {
  const letters = Array.from({ length: CODE_LENGTH }, () => CODE_LETTERS[randomInt(CODE_LETTERS.length)]).join('');
  return `${letters.slice(0, 4)}-${letters.slice(4)}`;
}
