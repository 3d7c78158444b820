import { IssuedToken, TokenView, pageOf } from '@drawbridge/protocol/api';
import type { Verb } from '@drawbridge/protocol/api';
import { allPages } from './all-pages.ts';
import type { Http } from './http.ts';

/** An API token to make. It can never do more than its owner. */
export interface NewToken {
  readonly name: string;
  /** `all`: whatever its owner may do. */
  readonly verbs: readonly Verb[] | 'all';
  /** Limits it to agents with these labels, such as `site=lab,env=prod`. */
  readonly selector?: string | undefined;
  readonly expiresInSeconds: number;
}

/** API tokens, which programs sign in with. */
export class TokensApi {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /** The caller's own tokens without their secrets, the newest first; with `all`, everybody's. */
  list({ all = false }: { readonly all?: boolean | undefined } = {}, signal?: AbortSignal): Promise<TokenView[]> {
    const query = { all: all ? 'true' : undefined };
    return allPages(this.#http, pageOf(TokenView), '/api/v1/tokens', { query, signal });
  }

  /** Makes a token for the caller; it is shown this once. */
  create({ name, verbs, selector, expiresInSeconds }: NewToken, signal?: AbortSignal): Promise<IssuedToken> {
    const body = { name, verbs, selector, expires_in_seconds: expiresInSeconds };
    return this.#http.json(IssuedToken, '/api/v1/tokens', { body, signal });
  }

  /** From now on nobody gets in with it; what it has open is closed within a second. */
  revoke(id: string, signal?: AbortSignal): Promise<void> {
    return this.#http.done(`/api/v1/tokens/${encodeURIComponent(id)}`, { method: 'DELETE', signal });
  }
}
