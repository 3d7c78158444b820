import type { IncomingMessage } from 'node:http';
import type { MessageSocket } from '@drawbridge/link';
import { credentialOf, notSignedIn } from '../edge/credential.ts';
import type { Caller, Edge } from '../edge/edge.ts';
import { cookieName } from '../http/authenticate.ts';
import type { TokenBuckets } from '../limits/token-buckets.ts';
import { actorText } from '../operators/actor.ts';
import type { Actor } from '../operators/actor.ts';
import type { Principals } from '../operators/principals.ts';
import type { Lease } from '../tunnels/lease.ts';
import type { Dialler, OperatorTunnels } from '../tunnels/operator-tunnels.ts';

/** An operator who may have what they ask for. */
export interface Operator {
  readonly actor: Actor;
  readonly lease: Lease;
}

export interface OperatorDoorOptions {
  readonly principals: Pick<Principals, 'bySecret'>;
  readonly edge: Edge;
  readonly tunnels: OperatorTunnels;
  /** Requests of one account or token: opening a WebSocket is one. */
  readonly requests: TokenBuckets;
  readonly parseCookie: (header: string) => Readonly<Record<string, string | undefined>>;
}

/** Where operators' ends of tunnels come in: signed in like any request, a page from our own origin alone. */
export class OperatorDoor {
  readonly #options: OperatorDoorOptions;

  constructor(options: OperatorDoorOptions) {
    this.#options = options;
  }

  /** Throws ControlError `unauthenticated`, `forbidden`, `tunnel_not_found`, `already_connected` or `rate_limited`. */
  async admit(request: IncomingMessage, caller: Caller, tunnelId: string): Promise<Operator> {
    const actor = await this.identify(request, caller);
    return { actor, lease: await this.#options.tunnels.admitOperator(actor, tunnelId) };
  }

  /** Who wants a WebSocket. Throws ControlError `unauthenticated`, `forbidden` or `rate_limited`. */
  async identify(request: IncomingMessage, caller: Caller): Promise<Actor> {
    const { principals, edge, parseCookie } = this.#options;
    const cookie = parseCookie(request.headers.cookie ?? '')[cookieName(caller.protocol === 'https')];
    const credential = credentialOf(request, { caller, cookie, isUpgrade: true });
    const actor = credential === undefined ? undefined : await principals.bySecret(credential);
    if (actor === undefined) {
      edge.requireOwnName(caller.host, request.socket);
      throw notSignedIn();
    }
    this.#options.requests.take(actorText(actor));
    return actor;
  }

  /** Resolves when the leg is closed. */
  serve({ actor, lease }: Operator, leg: MessageSocket, dialler: Dialler): Promise<void> {
    return this.#options.tunnels.serveOperator(actor, lease, leg, dialler);
  }
}
