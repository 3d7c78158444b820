import type { FastifyReply, FastifyRequest } from 'fastify';
import { SESSION_MS } from '../operators/sessions.ts';
import { cookieName } from './authenticate.ts';

/** The browser keeps the session's token where no script of a page can read it, and sends it to us alone. */
export function setSessionCookie(request: FastifyRequest, reply: FastifyReply, token: string): void {
  const isTls = request.protocol === 'https';
  reply.setCookie(cookieName(isTls), token, { ...attributes(isTls), maxAge: SESSION_MS / 1000 });
}

export function clearSessionCookie(request: FastifyRequest, reply: FastifyReply): void {
  const isTls = request.protocol === 'https';
  reply.clearCookie(cookieName(isTls), attributes(isTls));
}

function attributes(isTls: boolean) {
  return { path: '/', httpOnly: true, sameSite: 'strict', secure: isTls } as const;
}
