import { ControlError } from '@drawbridge/protocol';
import type { Labels } from '@drawbridge/protocol';
import type { Clock } from '@drawbridge/link';
import type { ServerIdentity } from '../identity/server-identity.ts';
import { actorText } from '../operators/actor.ts';
import type { Actor } from '../operators/actor.ts';
import { newSecret, secretHash } from '../operators/secrets.ts';
import { timestamp } from '../store/timestamp.ts';
import { TokensRepository } from '../store/tokens-repository.ts';
import type { JoinTokenRow } from '../store/tokens-repository.ts';
import type { Db } from '../store/store.ts';
import { uuidv7 } from '../store/uuid.ts';

/** dbj_<id>.<secret>.<fingerprint of the control plane's key> (security.md). */
const TOKEN = /^dbj_([0-9a-f-]{36})\.([A-Za-z0-9_-]{43})\.[A-Za-z0-9_-]{43}$/;

/** A join token as it is shown once, and its expiry. */
export interface IssuedJoinToken {
  readonly id: string;
  readonly token: string;
  readonly expiresAt: string;
}

/** Tokens that let a machine enrol: few uses, a short life, only a hash stored. */
export class JoinTokens {
  readonly #identity: ServerIdentity;
  readonly #tokens: TokensRepository;
  readonly #clock: Clock;

  constructor(identity: ServerIdentity, db: Db, clock: Clock) {
    this.#identity = identity;
    this.#tokens = new TokensRepository(db);
    this.#clock = clock;
  }

  async issue(wanted: { ttlSeconds: number; uses: number; labels: Labels }, actor: Actor): Promise<IssuedJoinToken> {
    const id = uuidv7(this.#clock.now());
    const secret = newSecret();
    const expiresAt = timestamp(this.#clock, wanted.ttlSeconds * 1000);
    await this.#tokens.insertJoinToken({
      id,
      secret_hash: secretHash(secret),
      labels: JSON.stringify(wanted.labels),
      uses_left: wanted.uses,
      uses_max: wanted.uses,
      created_by: actorText(actor),
      created_at: timestamp(this.#clock),
      expires_at: expiresAt,
      revoked_at: null,
    });
    return { id, token: `dbj_${id}.${secret}.${this.#identity.fingerprint}`, expiresAt };
  }

  /** Takes one use; throws ControlError `join_token_invalid` without saying which part of it was wrong. */
  async use(token: string, db: Db): Promise<JoinTokenRow> {
    const [, id, secret] = TOKEN.exec(token) ?? [];
    if (id !== undefined && secret !== undefined) {
      const row = await new TokensRepository(db).useJoinToken(id, secretHash(secret), timestamp(this.#clock));
      if (row !== undefined) return row;
    }
    throw new ControlError('join_token_invalid', 'the join token is unknown, used up, revoked or expired');
  }

  list(limit: number, cursor: string | undefined): Promise<JoinTokenRow[]> {
    return this.#tokens.listJoinTokens(limit, cursor);
  }

  async revoke(id: string): Promise<void> {
    const done = await this.#tokens.revokeJoinToken(id, timestamp(this.#clock));
    if (!done) throw new ControlError('join_token_not_found', `no join token ${id} that could be revoked`);
  }
}
