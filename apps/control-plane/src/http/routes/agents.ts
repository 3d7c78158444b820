import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { AgentName, Labels } from '@drawbridge/protocol';
import type { AgentService } from '../../agents/agent-service.ts';
import { agentView } from '../../agents/agent-view.ts';
import type { Presence } from '../../agents/presence.ts';
import { authorise } from '../../operators/authorise.ts';
import { actorOf } from '../authenticate.ts';
import { Page, page } from '../page.ts';

const Params = z.strictObject({ agent: z.string().min(1).max(64) });
const NewAgent = z.strictObject({
  name: AgentName,
  labels: Labels.default({}),
  expires_in_seconds: z
    .number()
    .int()
    .min(60)
    .max(366 * 86_400)
    .default(90 * 86_400),
});

export function agentRoutes(agents: AgentService, presence: Presence): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.get('/agents', { schema: { querystring: Page } }, async (request) => {
      authorise(actorOf(request), 'agent.read', {});
      const { limit, cursor } = request.query;
      const rows = await agents.list(limit + 1, cursor);
      const views = rows.map((row) => agentView(row, presence.current(row.agent_id)));
      return page(views, limit, (last) => last.name);
    });
    app.post('/agents', { schema: { body: NewAgent } }, async (request, reply) => {
      authorise(actorOf(request), 'admin.agents', {});
      const { name, labels, expires_in_seconds: expiresInSeconds } = request.body;
      const made = await agents.createWithKey(name, labels, expiresInSeconds);
      return reply.code(201).send({ agent_id: made.agentId, name, auth_token: made.key, expires_at: made.expiresAt });
    });
    app.get('/agents/:agent', { schema: { params: Params } }, async (request) => {
      const row = await agents.find(request.params.agent);
      authorise(actorOf(request), 'agent.read', { agentId: row.agent_id });
      return agentView(row, presence.current(row.agent_id));
    });
    app.delete('/agents/:agent', { schema: { params: Params } }, async (request, reply) => {
      authorise(actorOf(request), 'admin.agents', {});
      await agents.revoke(request.params.agent);
      return reply.code(204).send();
    });
    done();
  };
}
