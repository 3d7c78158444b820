import type { Clock } from '@drawbridge/link';
import { newSecret, secretHash } from './secrets.ts';

/** How long a one-time link works. */
const LINK_MS = 60 * 60_000;
/** Links that wait at once; the oldest gives way, that of the same user first. */
const LINKS_OF_USER_MAX = 4;
const LINKS_MAX = 1_024;

/** Whom a link signs in: a user, or whoever becomes the first admin. */
export type LinkPurpose = { readonly kind: 'user'; readonly userId: string } | { readonly kind: 'first-admin' };

/** One-time sign-in links. They live in memory: a restart voids them. */
export class SignInLinks {
  readonly #links = new Map<string, { readonly purpose: LinkPurpose; readonly expiresMs: number }>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A new code for one sign-in within the hour. It travels in a URL's fragment, which no server ever sees. */
  issue(purpose: LinkPurpose): string {
    const code = newSecret();
    if (purpose.kind === 'user') {
      const own = this.#linksOf(purpose.userId);
      if (own.length >= LINKS_OF_USER_MAX && own[0] !== undefined) this.#links.delete(own[0]);
    }
    const oldest = this.#links.keys().next();
    if (this.#links.size >= LINKS_MAX && oldest.done !== true) this.#links.delete(oldest.value);
    this.#links.set(secretHash(code), { purpose, expiresMs: this.#clock.now() + LINK_MS });
    return code;
  }

  /** What the code is for, without spending it; undefined when it is unknown, spent or too old. */
  look(code: string): LinkPurpose | undefined {
    const link = this.#links.get(secretHash(code));
    return link === undefined || link.expiresMs <= this.#clock.now() ? undefined : link.purpose;
  }

  /** Spends the code. */
  redeem(code: string): LinkPurpose | undefined {
    const purpose = this.look(code);
    this.#links.delete(secretHash(code));
    return purpose;
  }

  /** Voids all links of a user. */
  forget(userId: string): void {
    for (const hash of this.#linksOf(userId)) this.#links.delete(hash);
  }

  /** Their hashes, the oldest first. */
  #linksOf(userId: string): string[] {
    return [...this.#links]
      .filter(([, { purpose }]) => purpose.kind === 'user' && purpose.userId === userId)
      .map(([hash]) => hash);
  }
}
