import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { Labels } from '@drawbridge/protocol';
import { IssuedJoinToken, JoinTokenView, pageOf } from '@drawbridge/protocol/api';
import { labelsText } from '../../agents/agent-resource.ts';
import type { JoinTokens } from '../../agents/join-tokens.ts';
import { CONTROL_PLANE } from '../../operators/authorise.ts';
import { Page, page } from '../page.ts';
import { noteAudit, permit } from '../permit.ts';

const Body = z.strictObject({
  ttl_seconds: z.number().int().min(1).max(86_400).default(3600),
  uses: z.number().int().min(1).max(1000).default(1),
  labels: Labels.default({}),
});
const Params = z.strictObject({ id: z.uuid() });

/** `publicUrl` is where a machine finds this control plane. */
export function joinTokenRoutes(joinTokens: JoinTokens, publicUrl: () => string): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.post(
      '/join-tokens',
      {
        config: { verb: 'admin.join-tokens', creates: true },
        schema: {
          summary: 'Makes a token that lets machines enrol',
          body: z.preprocess((body) => body ?? {}, Body),
          response: { 201: IssuedJoinToken },
        },
      },
      async (request, reply) => {
        const actor = permit(request, CONTROL_PLANE);
        const { ttl_seconds: ttlSeconds, uses, labels } = request.body;
        const issued = await joinTokens.issue({ ttlSeconds, uses, labels }, actor);
        const details = { uses, expires_at: issued.expiresAt, labels: labelsText(labels) };
        noteAudit(request, { resource: `join-token:${issued.id}`, details });
        return reply
          .code(201)
          .send({ id: issued.id, token: issued.token, url: publicUrl(), expires_at: issued.expiresAt });
      },
    );
    app.get(
      '/join-tokens',
      {
        config: { verb: 'admin.join-tokens' },
        schema: {
          summary: 'Join tokens without their secrets, the newest first',
          querystring: Page,
          response: { 200: pageOf(JoinTokenView) },
        },
      },
      async (request) => {
        permit(request, CONTROL_PLANE);
        const { limit, cursor } = request.query;
        const rows = await joinTokens.list(limit + 1, cursor);
        const items = rows.map((row) => ({
          id: row.id,
          labels: JSON.parse(row.labels) as Record<string, string>,
          uses_left: row.uses_left,
          uses: row.uses_max,
          created_at: row.created_at,
          expires_at: row.expires_at,
          revoked: row.revoked_at !== null,
        }));
        return page(items, limit, (last) => last.id);
      },
    );
    app.delete(
      '/join-tokens/:id',
      {
        config: { verb: 'admin.join-tokens' },
        schema: { summary: 'Revokes a join token', params: Params, response: { 204: z.undefined() } },
      },
      async (request, reply) => {
        permit(request, CONTROL_PLANE);
        noteAudit(request, { resource: `join-token:${request.params.id}` });
        await joinTokens.revoke(request.params.id);
        return reply.code(204).send();
      },
    );
    done();
  };
}
