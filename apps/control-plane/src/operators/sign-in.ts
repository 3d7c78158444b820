import type { Clock } from '@drawbridge/link';
import { TokensRepository } from '../store/tokens-repository.ts';
import { timestamp } from '../store/timestamp.ts';
import type { Db } from '../store/store.ts';
import type { Actor } from './actor.ts';
import { newSecret, secretHash } from './secrets.ts';

/** How long a one-time link works, and how long the session behind it lives. */
const LINK_MS = 60 * 60_000;
export const SESSION_MS = 7 * 24 * 60 * 60_000;
/** Links that wait at once; the oldest gives way. */
const LINKS_MAX = 16;

/** One-time sign-in links and the browser sessions they open. Links live in memory, sessions in the store, as hashes. */
export class SignIn {
  readonly #links = new Map<string, number>();
  readonly #tokens: TokensRepository;
  readonly #clock: Clock;

  constructor(db: Db, clock: Clock) {
    this.#tokens = new TokensRepository(db);
    this.#clock = clock;
  }

  /** A new code for one sign-in within the hour. It travels in a URL's fragment, which no server ever sees. */
  issueCode(): string {
    const code = newSecret();
    const oldest = this.#links.keys().next();
    if (this.#links.size >= LINKS_MAX && oldest.done !== true) this.#links.delete(oldest.value);
    this.#links.set(secretHash(code), this.#clock.now() + LINK_MS);
    return code;
  }

  /** Spends the code and opens a session; undefined when the code is unknown, spent or too old. */
  async redeem(code: string): Promise<string | undefined> {
    const hash = secretHash(code);
    const expiresMs = this.#links.get(hash);
    this.#links.delete(hash);
    if (expiresMs === undefined || expiresMs <= this.#clock.now()) return undefined;
    const session = newSecret();
    await this.#tokens.insertSession(secretHash(session), timestamp(this.#clock), timestamp(this.#clock, SESSION_MS));
    return session;
  }

  /** The actor behind a session's cookie. */
  async verify(session: string): Promise<Actor | undefined> {
    const idHash = secretHash(session);
    const known = await this.#tokens.hasSession(idHash, timestamp(this.#clock));
    return known ? { kind: 'session', id: idHash.slice(0, 16) } : undefined;
  }

  async signOut(session: string): Promise<void> {
    await this.#tokens.deleteSession(secretHash(session));
  }
}
