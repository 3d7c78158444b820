import type { FastifyRequest } from 'fastify';
import { ControlError } from '@drawbridge/protocol';
import { credentialOf, notSignedIn } from '../edge/credential.ts';
import { PROBES } from '../edge/edge.ts';
import type { Edge } from '../edge/edge.ts';
import type { TokenBuckets } from '../limits/token-buckets.ts';
import { actorText } from '../operators/actor.ts';
import type { Actor } from '../operators/actor.ts';
import type { Principals } from '../operators/principals.ts';
import { callerOf } from './edge-hook.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks; set for every route but the public ones. */
    actor: Actor | undefined;
    /** The token or cookie it came with: to tell which session asks, and to end it. */
    credential: string | undefined;
  }
  interface FastifyContextConfig {
    /** True: served without a sign-in. Everything else needs one. */
    public?: boolean;
    /** False: its requests are not counted against `limits.requests_per_minute`; how many are under way is bounded elsewhere. */
    isMetered?: boolean;
  }
}

/** The cookie's name: the `__Host-` prefix needs TLS, which a loopback listener has not. */
export function cookieName(isTls: boolean): string {
  return isTls ? '__Host-drawbridge' : 'drawbridge';
}

export interface AuthenticatorOptions {
  readonly principals: Pick<Principals, 'bySecret' | 'refresh'>;
  readonly edge: Edge;
  /** Requests of one account or token. */
  readonly requests: TokenBuckets;
}

/** Finds out who asks, before any route: a bearer token, or the cookie of a page from our own origin. */
export function authenticator({ principals, edge, requests }: AuthenticatorOptions) {
  return async (request: FastifyRequest): Promise<void> => {
    const caller = callerOf(request);
    const requireOwnName = () => edge.requireOwnName(caller.host, request.socket);
    const cookie = request.cookies[cookieName(caller.protocol === 'https')];
    const credential = credentialOf(request, { caller, cookie, isUpgrade: false });
    if (request.routeOptions.config.public === true || request.is404) {
      if (!PROBES.has(request.url)) requireOwnName();
      return;
    }
    if (credential !== undefined) request.actor = await principals.bySecret(credential);
    if (request.actor === undefined) {
      requireOwnName();
      throw notSignedIn();
    }
    request.credential = credential;
    if (request.routeOptions.config.isMetered !== false) requests.take(actorText(request.actor));
  };
}

/**
 * Asks again right before the request acts. Its body may come long after its headers, and a repetition waits for the request before
 * it: rights that went meanwhile are gone.
 */
export function reauthenticator({ principals }: Pick<AuthenticatorOptions, 'principals'>) {
  return async (request: FastifyRequest): Promise<void> => {
    if (request.actor === undefined) return;
    request.actor = await principals.refresh(request.actor);
    if (request.actor === undefined) throw new ControlError('unauthenticated', 'the sign-in has ended');
  };
}

/** Who asks, on a route that is not public. */
export function actorOf(request: FastifyRequest): Actor {
  if (request.actor === undefined) throw new ControlError('unauthenticated', 'nobody is signed in');
  return request.actor;
}
