import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { ControlError, formatSelector } from '@drawbridge/protocol';
import { SessionView, WhoAmI } from '@drawbridge/protocol/api';
import type { RateLimits } from '../../limits/rate-limits.ts';
import type { Actor } from '../../operators/actor.ts';
import { ownerOf } from '../../operators/api-tokens.ts';
import { CONTROL_PLANE } from '../../operators/authorise.ts';
import type { Sessions } from '../../operators/sessions.ts';
import type { SignInLinks } from '../../operators/sign-in-links.ts';
import type { Users } from '../../operators/users.ts';
import { noteAudit, permit } from '../permit.ts';
import { clearSessionCookie } from '../session-cookie.ts';

const SessionParams = z.strictObject({ session: z.string().regex(/^[0-9a-f]{16}$|^current$/) });
const PasswordChange = z.strictObject({ current: z.string().max(1024).optional(), password: z.string().max(1024) });
const LinkView = z.object({ url: z.string() });

export interface AccountRouteParts {
  readonly users: Users;
  readonly sessions: Sessions;
  readonly links: SignInLinks;
  readonly limits: Pick<RateLimits, 'passwordsOfAccount'>;
  readonly publicUrl: () => string;
}

/** What everybody may do with what is their own: see who they are, change their password, end their sessions. */
export function accountRoutes(parts: AccountRouteParts): FastifyPluginCallbackZod {
  const { users, sessions, links, limits, publicUrl } = parts;
  const config = { verb: 'account.self' } as const;
  return (app, _options, done) => {
    app.get(
      '/whoami',
      { config, schema: { summary: 'Who asks, and what they may do', response: { 200: WhoAmI } } },
      async (request) => {
        const actor = permit(request, CONTROL_PLANE);
        const user = await users.find(ownerOf(actor));
        return {
          kind: actor.kind === 'token' ? ('token' as const) : ('user' as const),
          id: actor.id,
          name: actor.name,
          user_id: user.id,
          has_password: user.has_password,
          roles: user.roles,
          rights: actor.grants
            .filter(({ verbs }) => verbs.size > 0)
            .map(({ selector, verbs }) => ({ selector: formatSelector(selector), verbs: [...verbs] })),
        };
      },
    );
    app.put(
      '/whoami/password',
      {
        config,
        schema: {
          summary: 'Changes the own password and ends all other sessions',
          body: PasswordChange,
          response: { 204: z.undefined() },
        },
      },
      async (request, reply) => {
        const actor = permit(request, CONTROL_PLANE);
        const userId = requirePerson(actor);
        // Whoever has found a session open guesses the password no faster than anybody else.
        limits.passwordsOfAccount.take(actor.name);
        await users.changePassword(userId, request.body.current, request.body.password);
        await sessions.endAll(userId, request.credential);
        return reply.code(204).send();
      },
    );
    app.get(
      '/sessions',
      { config, schema: { summary: 'The own sessions', response: { 200: z.object({ items: z.array(SessionView) }) } } },
      async (request) => {
        const userId = ownerOf(permit(request, CONTROL_PLANE));
        return { items: await sessions.list(userId, request.credential) };
      },
    );
    app.delete(
      '/sessions',
      { config, schema: { summary: 'Signs out everywhere, here too', response: { 204: z.undefined() } } },
      async (request, reply) => {
        const count = await sessions.endAll(ownerOf(permit(request, CONTROL_PLANE)));
        noteAudit(request, { details: { count } });
        clearSessionCookie(request, reply);
        return reply.code(204).send();
      },
    );
    app.delete(
      '/sessions/:session',
      {
        config,
        schema: { summary: 'Ends one of the own sessions', params: SessionParams, response: { 204: z.undefined() } },
      },
      async (request, reply) => {
        const userId = ownerOf(permit(request, CONTROL_PLANE));
        const { session } = request.params;
        if (session !== 'current') await sessions.endOne(userId, session);
        else {
          if (request.credential !== undefined) await sessions.end(request.credential);
          clearSessionCookie(request, reply);
        }
        return reply.code(204).send();
      },
    );
    // Another link, for whoever is signed in as themselves already.
    app.post(
      '/sign-in-links',
      { config, schema: { summary: 'A one-time link that signs a browser in', response: { 201: LinkView } } },
      async (request, reply) => {
        const actor = permit(request, CONTROL_PLANE);
        const code = links.issue({ kind: 'user', userId: requireWhole(actor) });
        return reply.code(201).send({ url: `${publicUrl()}/sign-in#${code}` });
      },
    );
    done();
  };
}

/** Throws ControlError `forbidden` for a token: what ends in a session of its owner is for the owner. */
export function requirePerson(actor: Actor): string {
  if (actor.kind === 'user') return actor.id;
  throw new ControlError('forbidden', 'this is for a signed-in person, not for an API token');
}

/** A token that is narrower than its owner, or expires, opens no session: that would be as wide as its owner, and may live longer. */
function requireWhole(actor: Actor): string {
  if (!actor.isNarrowed) return ownerOf(actor);
  throw new ControlError('forbidden', 'a token of limited scope or time opens no session');
}
