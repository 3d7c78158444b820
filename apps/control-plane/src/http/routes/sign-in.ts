import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { ControlError } from '@drawbridge/protocol';
import { IssuedSession, PlainName, UserView } from '@drawbridge/protocol/api';
import { addressKey } from '../../limits/address-key.ts';
import type { RateLimits } from '../../limits/rate-limits.ts';
import type { Sessions } from '../../operators/sessions.ts';
import type { SignInLinks } from '../../operators/sign-in-links.ts';
import type { Users } from '../../operators/users.ts';
import { countAttempt } from '../attempts.ts';
import { noteAudit } from '../permit.ts';
import { setSessionCookie } from '../session-cookie.ts';

const Code = z.string().min(1).max(128);
const Password = z.string().max(1024);
const ByLink = z.strictObject({ code: Code });
const ByPassword = z.strictObject({ user: PlainName, password: Password });
const FirstAdmin = z.strictObject({ code: Code, name: PlainName, password: Password });
const NewSession = ByPassword.extend({ label: z.string().max(128).default('a program') });

/** `first_admin`: the link is good, and what it wants is `POST /first-admin`. */
const SignedIn = z.object({ state: z.enum(['signed_in', 'first_admin']) });

export interface SignInRouteParts {
  readonly users: Users;
  readonly sessions: Sessions;
  readonly links: SignInLinks;
  readonly limits: Pick<RateLimits, 'attempts' | 'passwordsOfAccount' | 'passwordsOfAddress'>;
}

/** The ways in: a one-time link, a name and a password. All public, all counted, all recorded. */
export function signInRoutes({ users, sessions, links, limits }: SignInRouteParts): FastifyPluginCallbackZod {
  const onRequest = countAttempt(limits.attempts);
  return (app, _options, done) => {
    app.post(
      '/sign-in',
      {
        config: { public: true },
        onRequest,
        schema: {
          summary: 'Signs a browser in, by a one-time link or a password; the session is in the cookie',
          body: z.union([ByLink, ByPassword]),
          response: { 200: SignedIn },
        },
      },
      async (request, reply) => {
        if ('password' in request.body) {
          await byPassword(request, reply, request.body);
          return { state: 'signed_in' as const };
        }
        const { code } = request.body;
        noteAudit(request, { verb: 'sign-in', details: { method: 'link' } });
        const purpose = links.look(code);
        if (purpose === undefined) throw linkSpent();
        if (purpose.kind === 'first-admin') return { state: 'first_admin' as const };
        links.redeem(code);
        await openFor(request, reply, purpose.userId, 'link');
        return { state: 'signed_in' as const };
      },
    );
    app.post(
      '/first-admin',
      {
        config: { public: true },
        onRequest,
        schema: {
          summary: 'Makes the first admin, with the one-time link of the first start',
          body: FirstAdmin,
          response: { 201: UserView },
        },
      },
      async (request, reply) => {
        noteAudit(request, { verb: 'first-admin' });
        const { code, name, password } = request.body;
        if (links.look(code)?.kind !== 'first-admin') throw linkSpent();
        const user = await users.createFirst(name, password);
        links.redeem(code);
        await openFor(request, reply, user.id, 'link');
        return reply.code(201).send(user);
      },
    );
    app.post(
      '/sessions',
      {
        config: { public: true },
        onRequest,
        schema: {
          summary: 'Signs a program in by a password; the session is in the answer',
          body: NewSession,
          response: { 201: IssuedSession },
        },
      },
      async (request, reply) => {
        const user = await verified(request, request.body);
        const by = { label: request.body.label, method: 'password', address: request.ip } as const;
        const { token, expiresAt } = await sessions.open(user.id, by);
        return reply.code(201).send({ token, expires_at: expiresAt });
      },
    );
    done();
  };

  async function byPassword(request: FastifyRequest, reply: FastifyReply, body: { user: string; password: string }) {
    const user = await verified(request, body);
    await openFor(request, reply, user.id, 'password');
  }

  /** The same refusal, after the same time, for a wrong password and for a name nobody has. */
  async function verified(request: FastifyRequest, { user, password }: { user: string; password: string }) {
    noteAudit(request, { verb: 'sign-in', details: { method: 'password' } });
    limits.passwordsOfAddress.take(addressKey(request.ip));
    limits.passwordsOfAccount.take(user);
    const row = await users.verify(user, password);
    if (row === undefined) throw new ControlError('unauthenticated', 'the name or the password is not right');
    noteAudit(request, { actor: `user:${row.id}`, actorName: row.name, details: { method: 'password' } });
    return row;
  }

  async function openFor(request: FastifyRequest, reply: FastifyReply, userId: string, method: 'link' | 'password') {
    const label = (request.headers['user-agent'] ?? 'a browser').slice(0, 128);
    const user = await users.find(userId);
    if (user.disabled) throw linkSpent();
    const { token } = await sessions.open(userId, { label, method, address: request.ip });
    noteAudit(request, { actor: `user:${userId}`, actorName: user.name, details: { method } });
    setSessionCookie(request, reply, token);
  }
}

function linkSpent(): ControlError {
  return new ControlError('unauthenticated', 'this sign-in link was used before, or is too old');
}
