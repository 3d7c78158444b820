import { readFile } from 'node:fs/promises';
import { ControlError } from '@drawbridge/protocol';
import type { Clock } from '@drawbridge/link';
import { TokensRepository } from '../store/tokens-repository.ts';
import { timestamp } from '../store/timestamp.ts';
import { uuidv7 } from '../store/uuid.ts';
import type { Db } from '../store/store.ts';
import type { Actor } from './actor.ts';
import { newSecret, secretHash } from './secrets.ts';

/** `dbt_` and 32 characters at least (contract of the API). */
const TOKEN = /^dbt_[A-Za-z0-9._-]{32,512}$/;

/** The tokens programs sign in with. Only hashes are kept. */
export class ApiTokens {
  readonly #tokens: TokensRepository;
  readonly #clock: Clock;

  constructor(db: Db, clock: Clock) {
    this.#tokens = new TokensRepository(db);
    this.#clock = clock;
  }

  /** The actor behind a token, or undefined when there is none (any more). */
  async verify(token: string): Promise<Actor | undefined> {
    if (!TOKEN.test(token)) return undefined;
    const row = await this.#tokens.findApiToken(secretHash(token));
    if (row === undefined) return undefined;
    if (row.expires_at !== null && row.expires_at <= timestamp(this.#clock)) return undefined;
    return { kind: 'token', id: row.id };
  }

  /** Stores a new token and returns it, for the only time. */
  async issue(name: string): Promise<string> {
    const token = `dbt_${newSecret()}`;
    await this.#store(name, token);
    return token;
  }

  /**
   * On the very first start, makes the content of `file` an admin's token; later starts ignore it (contract §2).
   * Returns whether a token was stored.
   */
  async bootstrap(file: string): Promise<boolean> {
    if ((await this.#tokens.countApiTokens()) > 0) return false;
    const token = (await readFile(file, 'utf8')).trim();
    if (!TOKEN.test(token)) {
      throw new ControlError(
        'invalid_request',
        `${file}: a bootstrap token is dbt_ and at least 32 letters, digits, . _ or -`,
      );
    }
    await this.#store('bootstrap', token);
    return true;
  }

  async #store(name: string, token: string): Promise<void> {
    await this.#tokens.insertApiToken({
      id: uuidv7(this.#clock.now()),
      name,
      secret_hash: secretHash(token),
      created_at: timestamp(this.#clock),
      expires_at: null,
      last_used_at: null,
    });
  }
}
