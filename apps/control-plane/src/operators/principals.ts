import type { Clock } from '@drawbridge/link';
import { parseSelector } from '@drawbridge/protocol';
import type { Selector } from '@drawbridge/protocol';
import { BUILT_IN_ROLES, OWN_VERBS, VERBS, Verb } from '@drawbridge/protocol/api';
import { z } from 'zod';
import type { Bus } from '../bus/bus.ts';
import { Believed } from '../store/believed.ts';
import type { Db } from '../store/store.ts';
import { timestamp } from '../store/timestamp.ts';
import { TokensRepository } from '../store/tokens-repository.ts';
import type { ApiTokenRow, SessionRow } from '../store/tokens-repository.ts';
import { UsersRepository } from '../store/users-repository.ts';
import type { UserRow } from '../store/users-repository.ts';
import { SYSTEM, actorText } from './actor.ts';
import type { Actor, Grant } from './actor.ts';
import { isWholeApiToken, secretHash } from './secrets.ts';

/** How long an answer is believed: a change made on another node takes effect within it. */
const BELIEVED_MS = 1_000;
const CACHED_MAX = 10_000;
/** `last_used_at` is no more exact than this. */
const TOUCH_MS = 60_000;

const API_TOKEN = /^dbt_[A-Za-z0-9._-]{32,512}$/;
const SESSION = /^dbs_[A-Za-z0-9_-]{43}$/;
const Verbs = z.array(Verb);

export interface PrincipalsOptions {
  readonly db: Db;
  readonly bus: Bus;
  readonly clock: Clock;
  /** A session nobody uses ends after this long. */
  readonly sessionIdleMs: number;
}

/** Finds out who a credential belongs to and what they may do now. Answers are kept for a second, or until rights change. */
export class Principals {
  readonly #options: PrincipalsOptions;
  readonly #tokens: TokensRepository;
  readonly #users: UsersRepository;
  readonly #believed: Believed<Actor | undefined>;

  constructor(options: PrincipalsOptions) {
    this.#options = options;
    this.#tokens = new TokensRepository(options.db);
    this.#users = new UsersRepository(options.db);
    this.#believed = new Believed({ clock: options.clock, forMs: BELIEVED_MS, keptMax: CACHED_MAX });
    options.bus.subscribe('access', () => this.#believed.forget());
  }

  /** The actor behind an API token or a session's token; undefined when there is none (any more). */
  bySecret(secret: string): Promise<Actor | undefined> {
    if (API_TOKEN.test(secret) && isWholeApiToken(secret)) return this.#byCredential(`t:${secretHash(secret)}`);
    return SESSION.test(secret) ? this.#byCredential(`s:${secretHash(secret)}`) : Promise.resolve(undefined);
  }

  /** The actor that `actorText` named, with the rights of now; undefined when it is gone. */
  async byText(text: string): Promise<Actor | undefined> {
    const [kind, id = ''] = text.split(':', 2);
    if (kind === 'system') return SYSTEM;
    if (kind === 'token') {
      return this.#believed.of(`i:${id}`, async () => this.#ofToken(await this.#tokens.findApiTokenById(id)));
    }
    return kind === 'user' ? this.#believed.of(`u:${id}`, () => this.#ofUser(id)) : undefined;
  }

  /** The same actor with the rights of now; undefined when its credential, its user or its token is gone. */
  refresh(actor: Actor): Promise<Actor | undefined> {
    return actor.credential === undefined ? this.byText(actorText(actor)) : this.#byCredential(actor.credential);
  }

  #byCredential(credential: string): Promise<Actor | undefined> {
    const [kind, hash = ''] = credential.split(':', 2);
    return this.#believed.of(credential, async () => {
      const actor =
        kind === 't'
          ? await this.#ofToken(await this.#tokens.findApiToken(hash))
          : await this.#ofSession(await this.#tokens.findSession(hash));
      return actor === undefined ? undefined : { ...actor, credential };
    });
  }

  async #ofToken(row: ApiTokenRow | undefined): Promise<Actor | undefined> {
    const { clock } = this.#options;
    if (row === undefined || row.revoked_at !== null) return undefined;
    if (row.expires_at !== null && row.expires_at <= timestamp(clock)) return undefined;
    const owner = await this.#users.find(row.user_id);
    if (owner === undefined || owner.disabled_at !== null) return undefined;
    if (this.#isStale(row.last_used_at)) await this.#tokens.touchApiToken(row.id, timestamp(clock));
    const verbs = row.verbs === null ? undefined : new Set(Verbs.parse(JSON.parse(row.verbs)));
    const grants = narrowed(await this.#grantsOf(owner), verbs, parseSelector(row.selector));
    const isNarrowed = row.verbs !== null || row.selector !== '' || row.expires_at !== null;
    return { kind: 'token', id: row.id, name: `${owner.name}/${row.name}`, userId: owner.id, grants, isNarrowed };
  }

  async #ofSession(row: SessionRow | undefined): Promise<Actor | undefined> {
    const { clock, sessionIdleMs } = this.#options;
    if (row === undefined || row.expires_at <= timestamp(clock)) return undefined;
    if (row.last_used_at <= timestamp(clock, -sessionIdleMs)) return undefined;
    const actor = await this.#ofUser(row.user_id);
    if (actor !== undefined && this.#isStale(row.last_used_at)) {
      await this.#tokens.touchSession(row.id_hash, timestamp(clock));
    }
    return actor;
  }

  async #ofUser(id: string): Promise<Actor | undefined> {
    const user = await this.#users.find(id);
    if (user === undefined || user.disabled_at !== null) return undefined;
    return { kind: 'user', id: user.id, name: user.name, userId: user.id, grants: await this.#grantsOf(user) };
  }

  /** What the user's roles give, and what everybody has. */
  async #grantsOf(user: UserRow): Promise<Grant[]> {
    const bindings = await this.#users.bindingsOf([user.id]);
    const grants: Grant[] = [{ verbs: new Set<Verb>(OWN_VERBS), selector: [] }];
    for (const { role, selector } of bindings) {
      grants.push({ verbs: new Set(await this.#verbsOf(role)), selector: parseSelector(selector) });
    }
    return grants;
  }

  async #verbsOf(role: string): Promise<readonly Verb[]> {
    if (role === 'viewer' || role === 'operator' || role === 'admin') return BUILT_IN_ROLES[role];
    const row = await this.#users.findRole(role);
    return row === undefined ? [] : Verbs.parse(JSON.parse(row.verbs));
  }

  #isStale(lastUsedAt: string | null): boolean {
    return lastUsedAt === null || lastUsedAt <= timestamp(this.#options.clock, -TOUCH_MS);
  }
}

/** What is left of an owner's grants for a token: only these verbs, only on agents that its selector selects too. */
function narrowed(grants: readonly Grant[], verbs: ReadonlySet<Verb> | undefined, selector: Selector): Grant[] {
  const wanted = verbs ?? new Set<Verb>(VERBS);
  return grants.map((grant) => ({
    verbs: new Set([...grant.verbs].filter((verb) => wanted.has(verb))),
    selector: [...grant.selector, ...selector],
  }));
}
