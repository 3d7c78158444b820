import { readFile } from 'node:fs/promises';
import type { Clock } from '@drawbridge/link';
import { ControlError, formatSelector, parseSelector } from '@drawbridge/protocol';
import type { IssuedToken, TokenView, Verb } from '@drawbridge/protocol/api';
import type { Bus } from '../bus/bus.ts';
import type { Publish } from '../events/event-feed.ts';
import type { Db } from '../store/store.ts';
import { timestamp } from '../store/timestamp.ts';
import { TokensRepository } from '../store/tokens-repository.ts';
import type { ApiTokenRow } from '../store/tokens-repository.ts';
import { uuidv7 } from '../store/uuid.ts';
import type { Actor } from './actor.ts';
import { requireHolds } from './authorise.ts';
import { newApiToken, secretHash } from './secrets.ts';

/** `dbt_` and 32 characters at least (contract of the API). */
const BOOTSTRAP_TOKEN = /^dbt_[A-Za-z0-9._-]{32,512}$/;

/** What a new token is to be. `verbs` null: whatever its owner may do. */
export interface NewToken {
  readonly name: string;
  readonly verbs: readonly Verb[] | null;
  readonly selector: string;
  readonly expiresInSeconds: number;
}

/** The tokens programs sign in with: owned by a user, limited, dated. Only hashes are kept. */
export class ApiTokens {
  readonly #tokens: TokensRepository;
  readonly #bus: Bus;
  readonly #publish: Publish;
  readonly #clock: Clock;

  constructor({ db, bus, publish, clock }: { db: Db; bus: Bus; publish: Publish; clock: Clock }) {
    this.#tokens = new TokensRepository(db);
    this.#bus = bus;
    this.#publish = publish;
    this.#clock = clock;
  }

  /** Makes a token of the actor's own user; it can do no more than the actor, nor longer. The token itself is shown this once. */
  async issue(wanted: NewToken, actor: Actor): Promise<IssuedToken> {
    const userId = ownerOf(actor);
    const selector = parseSelector(wanted.selector);
    const expiresAt = timestamp(this.#clock, wanted.expiresInSeconds * 1000);
    if (actor.kind === 'token') {
      requireHolds(actor, wanted.verbs ?? requireVerbs(), selector);
      await this.#requireOutlives(actor.id, expiresAt);
    }
    const id = uuidv7(this.#clock.now());
    const token = newApiToken(id);
    const row: ApiTokenRow = {
      id,
      name: wanted.name,
      secret_hash: secretHash(token),
      user_id: userId,
      verbs: wanted.verbs === null ? null : JSON.stringify(wanted.verbs),
      selector: formatSelector(selector),
      created_at: timestamp(this.#clock),
      expires_at: expiresAt,
      last_used_at: null,
      revoked_at: null,
    };
    await this.#tokens.insertApiToken(row);
    const view = tokenView(row);
    this.#publish({ type: 'token.created', resource: `token:${id}`, data: { ...view } });
    return { ...view, token };
  }

  /** A token that made one which lasts longer would have no end. */
  async #requireOutlives(id: string, expiresAt: string): Promise<void> {
    const { expires_at: end } = await this.find(id);
    if (end === null || expiresAt <= end) return;
    throw new ControlError('forbidden', `a token makes none that outlives it: this one ends at ${end}`);
  }

  /** Newest first; of one user, or of all. */
  async list(limit: number, cursor: string | undefined, userId: string | undefined): Promise<TokenView[]> {
    return (await this.#tokens.listApiTokens(limit, cursor, userId)).map(tokenView);
  }

  /** Throws ControlError `token_not_found`. */
  async find(id: string): Promise<TokenView> {
    const row = await this.#tokens.findApiTokenById(id);
    if (row === undefined) throw new ControlError('token_not_found', `no token ${id}`);
    return tokenView(row);
  }

  /** From now on nobody gets in with it; what it has open is closed within a second. */
  async revoke(id: string): Promise<void> {
    const view = await this.find(id);
    await this.#tokens.revokeApiToken(id, timestamp(this.#clock));
    this.#bus.publish('access');
    this.#publish({ type: 'token.revoked', resource: `token:${id}`, data: { ...view, revoked: true } });
  }

  /** The content of a bootstrap file (contract of the API, §2). Throws ControlError `invalid_request`, without showing it. */
  async readBootstrap(file: string): Promise<string> {
    const token = (await readFile(file, 'utf8')).trim();
    if (BOOTSTRAP_TOKEN.test(token)) return token;
    const message = `${file}: a bootstrap token is dbt_ and at least 32 letters, digits, . _ or -`;
    throw new ControlError('invalid_request', message);
  }

  /** Stores it as a token of `userId` that may what its owner may, and does not expire. */
  async storeBootstrap(token: string, userId: string): Promise<void> {
    await this.#tokens.insertApiToken({
      id: uuidv7(this.#clock.now()),
      name: 'bootstrap',
      secret_hash: secretHash(token),
      user_id: userId,
      verbs: null,
      selector: '',
      created_at: timestamp(this.#clock),
      expires_at: null,
      last_used_at: null,
      revoked_at: null,
    });
  }
}

/** The user behind an actor. Throws ControlError `forbidden` for those who are nobody's. */
export function ownerOf(actor: Actor): string {
  if (actor.userId === undefined) throw new ControlError('forbidden', `${actor.name} is no user`);
  return actor.userId;
}

function requireVerbs(): never {
  throw new ControlError('forbidden', 'a token makes only tokens that name their verbs');
}

function tokenView(row: ApiTokenRow): TokenView {
  return {
    id: row.id,
    name: row.name,
    user_id: row.user_id,
    verbs: row.verbs === null ? null : (JSON.parse(row.verbs) as Verb[]),
    selector: row.selector,
    created_at: row.created_at,
    expires_at: row.expires_at,
    last_used_at: row.last_used_at,
    revoked: row.revoked_at !== null,
  };
}
