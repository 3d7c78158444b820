import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { Labels } from '@drawbridge/protocol';
import type { JoinTokens } from '../../agents/join-tokens.ts';
import { authorise } from '../../operators/authorise.ts';
import { actorOf } from '../authenticate.ts';

const Body = z.strictObject({
  ttl_seconds: z.number().int().min(1).max(86_400).default(3600),
  uses: z.number().int().min(1).max(1000).default(1),
  labels: Labels.default({}),
});
const Params = z.strictObject({ id: z.uuid() });
const LIST_MAX = 200;

/** `publicUrl` is where a machine finds this control plane. */
export function joinTokenRoutes(joinTokens: JoinTokens, publicUrl: () => string): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.post('/join-tokens', { schema: { body: z.preprocess((body) => body ?? {}, Body) } }, async (request, reply) => {
      const actor = actorOf(request);
      authorise(actor, 'admin.join-tokens', {});
      const { ttl_seconds: ttlSeconds, uses, labels } = request.body;
      const issued = await joinTokens.issue({ ttlSeconds, uses, labels }, actor);
      return reply
        .code(201)
        .send({ id: issued.id, token: issued.token, url: publicUrl(), expires_at: issued.expiresAt });
    });
    app.get('/join-tokens', async (request) => {
      authorise(actorOf(request), 'admin.join-tokens', {});
      const rows = await joinTokens.list(LIST_MAX);
      const items = rows.map((row) => ({
        id: row.id,
        labels: JSON.parse(row.labels) as Record<string, string>,
        uses_left: row.uses_left,
        uses: row.uses_max,
        created_at: row.created_at,
        expires_at: row.expires_at,
        revoked: row.revoked_at !== null,
      }));
      return { items, next_cursor: null };
    });
    app.delete('/join-tokens/:id', { schema: { params: Params } }, async (request, reply) => {
      authorise(actorOf(request), 'admin.join-tokens', {});
      await joinTokens.revoke(request.params.id);
      return reply.code(204).send();
    });
    done();
  };
}
