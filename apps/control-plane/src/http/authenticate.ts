import type { FastifyReply, FastifyRequest } from 'fastify';
import { ControlError } from '@drawbridge/protocol';
import type { Actor } from '../operators/actor.ts';
import type { ApiTokens } from '../operators/api-tokens.ts';
import type { SignIn } from '../operators/sign-in.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks; set for every route but the public ones. */
    actor: Actor | undefined;
  }
  interface FastifyContextConfig {
    /** True: served without a sign-in. Everything else needs one. */
    public?: boolean;
  }
}

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);
const SECRET_PARAMETERS = /[?&](access_token|token|api_key|apikey|key|password|secret|code|session)=/i;

/** The cookie's name: the `__Host-` prefix needs TLS, which a loopback listener has not. */
export function cookieName(isTls: boolean): string {
  return isTls ? '__Host-drawbridge' : 'drawbridge';
}

/** Finds out who asks, before any route: a bearer token, or the cookie of a page from our own origin. */
export function authenticator(tokens: ApiTokens, signIn: SignIn, isTls: boolean) {
  return async (request: FastifyRequest, _reply: FastifyReply): Promise<void> => {
    if (SECRET_PARAMETERS.test(request.url)) {
      throw new ControlError('invalid_request', 'credentials are not accepted in a URL: use the Authorization header');
    }
    if (request.routeOptions.config.public === true || request.is404) return;
    const bearer = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    const cookie = request.cookies[cookieName(isTls)];
    if (bearer !== undefined) request.actor = await tokens.verify(bearer);
    else if (cookie !== undefined) {
      requireSameOrigin(request);
      request.actor = await signIn.verify(cookie);
    }
    if (request.actor === undefined) {
      throw new ControlError('unauthenticated', 'sign in, or send "Authorization: Bearer <API token>"');
    }
  };
}

/** Who asks, on a route that is not public. */
export function actorOf(request: FastifyRequest): Actor {
  if (request.actor === undefined) throw new ControlError('unauthenticated', 'nobody is signed in');
  return request.actor;
}

/** A cookie is sent by the browser on its own: what changes something must come from a page of ours. */
function requireSameOrigin(request: FastifyRequest): void {
  if (SAFE_METHODS.has(request.method)) return;
  const expected = `${request.protocol}://${request.host}`;
  if (request.headers.origin !== expected) {
    throw new ControlError('forbidden', `the Origin of this request is not ${expected}`);
  }
}
