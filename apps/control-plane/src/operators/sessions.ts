import type { Clock } from '@drawbridge/link';
import { ControlError } from '@drawbridge/protocol';
import type { SessionView } from '@drawbridge/protocol/api';
import type { Bus } from '../bus/bus.ts';
import type { Db } from '../store/store.ts';
import { timestamp } from '../store/timestamp.ts';
import { TokensRepository } from '../store/tokens-repository.ts';
import type { SessionRow } from '../store/tokens-repository.ts';
import { UsersRepository } from '../store/users-repository.ts';
import { newSecret, secretHash } from './secrets.ts';

/** However much it is used, a session ends after a week (security.md). */
export const SESSION_MS = 7 * 24 * 60 * 60_000;
const LIST_MAX = 200;
const LABEL_CHARACTERS_MAX = 128;
const PUBLIC_ID_CHARACTERS = 16;

/** How somebody signed in, and from where. */
export interface SignedInBy {
  readonly label: string;
  readonly method: SessionRow['method'];
  readonly address: string | null;
}

/** What lets a user in without a password, and is given out beforehand. */
interface WayIn {
  forget(userId: string): void;
}

export interface SessionsOptions {
  readonly db: Db;
  readonly bus: Bus;
  readonly clock: Clock;
  /** Who is signed out everywhere does not come back by one of these. */
  readonly waysIn: readonly WayIn[];
}

/** What people sign in to: opened with a secret shown once, ended one by one or all at once. Only hashes are stored. */
export class Sessions {
  readonly #db: Db;
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #waysIn: readonly WayIn[];

  constructor({ db, bus, clock, waysIn }: SessionsOptions) {
    this.#db = db;
    this.#bus = bus;
    this.#clock = clock;
    this.#waysIn = waysIn;
  }

  /** Opens a session and returns its token, for the only time. */
  async open(userId: string, by: SignedInBy): Promise<{ token: string; expiresAt: string }> {
    const token = `dbs_${newSecret()}`;
    const now = timestamp(this.#clock);
    const expiresAt = timestamp(this.#clock, SESSION_MS);
    await new TokensRepository(this.#db).insertSession({
      id_hash: secretHash(token),
      user_id: userId,
      label: by.label.slice(0, LABEL_CHARACTERS_MAX),
      method: by.method,
      address: by.address,
      created_at: now,
      last_used_at: now,
      expires_at: expiresAt,
    });
    await new UsersRepository(this.#db).update(userId, { last_sign_in_at: now });
    return { token, expiresAt };
  }

  /** The user's sessions, newest first; `currentToken` tells which one asks. */
  async list(userId: string, currentToken: string | undefined): Promise<SessionView[]> {
    const current = currentToken === undefined ? undefined : secretHash(currentToken);
    const rows = await new TokensRepository(this.#db).listSessions(userId, LIST_MAX);
    return rows.map((row) => ({
      id: row.id_hash.slice(0, PUBLIC_ID_CHARACTERS),
      label: row.label,
      method: row.method,
      address: row.address,
      created_at: row.created_at,
      last_used_at: row.last_used_at,
      expires_at: row.expires_at,
      current: row.id_hash === current,
    }));
  }

  /** Ends the session of this token; unknown ones are fine. */
  async end(token: string): Promise<void> {
    await new TokensRepository(this.#db).deleteSession(secretHash(token));
    this.#bus.publish('access');
  }

  /** Ends one of the user's sessions by its public id. */
  async endOne(userId: string, id: string): Promise<void> {
    const tokens = new TokensRepository(this.#db);
    const rows = await tokens.listSessions(userId, LIST_MAX);
    const row = rows.find(({ id_hash: idHash }) => idHash.slice(0, PUBLIC_ID_CHARACTERS) === id);
    if (row === undefined) throw new ControlError('session_not_found', `no session ${id}`);
    await tokens.deleteSession(row.id_hash);
    this.#bus.publish('access');
  }

  /**
   * Signs the user out everywhere, except perhaps here, and voids the links and requests that would let somebody in again. Returns
   * how many sessions ended.
   */
  async endAll(userId: string, exceptToken?: string): Promise<number> {
    const except = exceptToken === undefined ? undefined : secretHash(exceptToken);
    const ended = await new TokensRepository(this.#db).deleteSessionsOf(userId, except);
    this.#bus.publish('access');
    // Last: nobody who is signed out now makes another.
    for (const way of this.#waysIn) way.forget(userId);
    return ended;
  }
}
