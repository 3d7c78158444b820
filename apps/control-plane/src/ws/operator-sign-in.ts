import type { IncomingMessage } from 'node:http';
import { credentialOf, notSignedIn } from '../edge/credential.ts';
import type { Caller, Edge } from '../edge/edge.ts';
import { cookieName } from '../http/authenticate.ts';
import type { TokenBuckets } from '../limits/token-buckets.ts';
import { actorText } from '../operators/actor.ts';
import type { Actor } from '../operators/actor.ts';
import type { Principals } from '../operators/principals.ts';

export interface OperatorSignInOptions {
  readonly principals: Pick<Principals, 'bySecret'>;
  readonly edge: Edge;
  /** Requests of one account or token: opening a WebSocket is one. */
  readonly requests: TokenBuckets;
  readonly parseCookie: (header: string) => Readonly<Record<string, string | undefined>>;
}

/** Who asks for a WebSocket: signed in like any request, a page from our own origin alone. */
export class OperatorSignIn {
  readonly #options: OperatorSignInOptions;

  constructor(options: OperatorSignInOptions) {
    this.#options = options;
  }

  /** Throws ControlError `unauthenticated`, `forbidden` or `rate_limited`. */
  async actorOf(request: IncomingMessage, caller: Caller): Promise<Actor> {
    const { principals, edge, parseCookie, requests } = this.#options;
    const cookie = parseCookie(request.headers.cookie ?? '')[cookieName(caller.protocol === 'https')];
    const credential = credentialOf(request, { caller, cookie, isUpgrade: true });
    const actor = credential === undefined ? undefined : await principals.bySecret(credential);
    if (actor === undefined) {
      edge.requireOwnName(caller.host, request.socket);
      throw notSignedIn();
    }
    requests.take(actorText(actor));
    return actor;
  }
}
