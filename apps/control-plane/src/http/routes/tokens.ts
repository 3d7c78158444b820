import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { ControlError } from '@drawbridge/protocol';
import { IssuedToken, PlainName, TokenView, Verb, pageOf } from '@drawbridge/protocol/api';
import { ownerOf } from '../../operators/api-tokens.ts';
import type { ApiTokens } from '../../operators/api-tokens.ts';
import { CONTROL_PLANE, can } from '../../operators/authorise.ts';
import { Page, page } from '../page.ts';
import { noteAudit, permit } from '../permit.ts';

const YEAR_SECONDS = 366 * 86_400;
const Params = z.strictObject({ token: z.uuid() });
const ListQuery = Page.extend({
  all: z.stringbool().default(false).describe("everybody's, for who looks after users"),
});
const NewToken = z.strictObject({
  name: PlainName,
  /** Scope and expiry are asked for, so that nobody makes a token for everything and for ever without meaning it. */
  verbs: z.union([z.array(Verb).min(1).max(64), z.literal('all')]).describe('all: whatever its owner may'),
  selector: z.string().max(2048).default('').describe('limits it to agents with these labels'),
  expires_in_seconds: z.number().int().min(60).max(YEAR_SECONDS),
});

/** API tokens: everybody's own; all of them for who looks after users. */
export function tokenRoutes(tokens: ApiTokens): FastifyPluginCallbackZod {
  const config = { verb: 'account.self' } as const;
  return (app, _options, done) => {
    app.get(
      '/tokens',
      {
        config,
        schema: {
          summary: 'API tokens without their secrets, the newest first',
          querystring: ListQuery,
          response: { 200: pageOf(TokenView) },
        },
      },
      async (request) => {
        const { limit, cursor, all } = request.query;
        const userId = ownerOf(permit(request, CONTROL_PLANE));
        if (all) permit(request, CONTROL_PLANE, 'admin.users');
        return page(await tokens.list(limit + 1, cursor, all ? undefined : userId), limit, (last) => last.id);
      },
    );
    app.post(
      '/tokens',
      {
        config: { ...config, creates: true },
        schema: {
          summary: 'Makes an API token; it is shown this once',
          body: NewToken,
          response: { 201: IssuedToken },
        },
      },
      async (request, reply) => {
        const actor = permit(request, CONTROL_PLANE);
        const { name, verbs, selector, expires_in_seconds: expiresInSeconds } = request.body;
        const wanted = { name, verbs: verbs === 'all' ? null : verbs, selector, expiresInSeconds };
        const issued = await tokens.issue(wanted, actor);
        noteAudit(request, {
          resource: `token:${issued.id}`,
          details: { token_name: name, expires_at: issued.expires_at, selector: issued.selector },
        });
        return reply.code(201).send(issued);
      },
    );
    app.delete(
      '/tokens/:token',
      {
        config,
        schema: {
          summary: 'Revokes an API token: what it has open is closed within a second',
          params: Params,
          response: { 204: z.undefined() },
        },
      },
      async (request, reply) => {
        const actor = permit(request, CONTROL_PLANE);
        const id = request.params.token;
        const token = await tokens.find(id);
        if (token.user_id !== actor.userId) {
          if (!can(actor, 'admin.users', CONTROL_PLANE)) throw new ControlError('token_not_found', `no token ${id}`);
          permit(request, CONTROL_PLANE, 'admin.users');
        }
        noteAudit(request, { resource: `token:${id}`, details: { token_name: token.name } });
        await tokens.revoke(id);
        return reply.code(204).send();
      },
    );
    done();
  };
}
