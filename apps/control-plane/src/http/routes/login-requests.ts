import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { ControlError } from '@drawbridge/protocol';
import { IssuedSession, LoginRequest } from '@drawbridge/protocol/api';
import type { TokenBuckets } from '../../limits/token-buckets.ts';
import { CONTROL_PLANE } from '../../operators/authorise.ts';
import { POLL_SECONDS } from '../../operators/login-requests.ts';
import type { LoginRequests } from '../../operators/login-requests.ts';
import type { Sessions } from '../../operators/sessions.ts';
import type { Users } from '../../operators/users.ts';
import { countAttempt } from '../attempts.ts';
import { noteAudit, permit } from '../permit.ts';
import { requirePerson } from './account.ts';

const Params = z.strictObject({ id: z.uuid() });
/** What a person reads before they say yes: nothing in it may turn the text around, or hide. */
const Label = z.string().regex(/^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]{1,128}$/u, 'a label is 1 to 128 visible characters');
const NewRequest = z.strictObject({ label: Label });
const Poll = z.strictObject({ poll_secret: z.string().min(1).max(128) });
const Answer = z.strictObject({ answer: z.enum(['approve', 'deny']) });
const Pending = z.object({ state: z.literal('pending') });
const Asked = z.object({ id: z.string(), label: z.string(), address: z.string().nullable(), user_code: z.string() });

export interface LoginRequestRouteParts {
  readonly requests: LoginRequests;
  readonly sessions: Sessions;
  readonly users: Users;
  readonly attempts: TokenBuckets;
  readonly publicUrl: () => string;
}

/** Signing a command line in by way of a browser: it asks and polls, a signed-in person answers. */
export function loginRequestRoutes(parts: LoginRequestRouteParts): FastifyPluginCallbackZod {
  const { requests, sessions, users, attempts, publicUrl } = parts;
  return (app, _options, done) => {
    app.post(
      '/login-requests',
      {
        config: { public: true },
        onRequest: countAttempt(attempts),
        schema: { summary: 'A command line asks to be signed in', body: NewRequest, response: { 201: LoginRequest } },
      },
      async (request, reply) => {
        const made = requests.create(request.body.label, request.ip);
        return reply.code(201).send({
          id: made.id,
          user_code: made.userCode,
          verification_url: `${publicUrl()}/login#${made.id}`,
          poll_secret: made.pollSecret,
          interval_seconds: POLL_SECONDS,
          expires_at: made.expiresAt,
        });
      },
    );
    app.post(
      '/login-requests/:id/token',
      {
        config: { public: true },
        schema: {
          summary: 'The command line asks whether it is let in: 202 while nobody has answered',
          params: Params,
          body: Poll,
          response: { 201: IssuedSession, 202: Pending },
        },
      },
      async (request, reply) => {
        const approved = requests.poll(request.params.id, request.body.poll_secret);
        if (approved === undefined) return reply.code(202).send({ state: 'pending' });
        const { userId, label, address } = approved;
        const user = await users.find(userId);
        if (user.disabled) throw new ControlError('login_denied', `${user.name} may not sign in`);
        noteAudit(request, {
          verb: 'sign-in',
          actor: `user:${userId}`,
          actorName: user.name,
          details: { method: 'browser' },
        });
        const { token, expiresAt } = await sessions.open(userId, { label, method: 'browser', address });
        return reply.code(201).send({ token, expires_at: expiresAt });
      },
    );
    app.get(
      '/login-requests/:id',
      {
        config: { verb: 'account.self' },
        schema: { summary: 'Who wants to be let in', params: Params, response: { 200: Asked } },
      },
      async (request) => {
        requirePerson(permit(request, CONTROL_PLANE));
        const { id, label, address, userCode } = requests.look(request.params.id);
        return { id, label, address, user_code: userCode };
      },
    );
    app.post(
      '/login-requests/:id/answer',
      {
        config: { verb: 'account.self' },
        schema: {
          summary: 'Lets the command line in, or not',
          params: Params,
          body: Answer,
          response: { 204: z.undefined() },
        },
      },
      async (request, reply) => {
        const userId = requirePerson(permit(request, CONTROL_PLANE));
        noteAudit(request, { details: { state: request.body.answer } });
        requests.answer(request.params.id, request.body.answer, userId);
        return reply.code(204).send();
      },
    );
    done();
  };
}
