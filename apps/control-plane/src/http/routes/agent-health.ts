import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { HealthSample, pageOf } from '@drawbridge/protocol/api';
import { z } from 'zod';
import { agentResource } from '../../agents/agent-resource.ts';
import type { AgentService } from '../../agents/agent-service.ts';
import type { HealthHistory } from '../../agents/health-history.ts';
import { page } from '../page.ts';
import { permit } from '../permit.ts';

const Params = z.strictObject({ agent: z.string().min(1).max(64).describe('id or name of the agent') });
/** Times compare as text only when they are all written in one way. */
const Moment = z.iso.datetime({ offset: true }).transform((text) => new Date(text).toISOString());
const Query = z.strictObject({
  since: Moment.optional(),
  until: Moment.optional(),
  cursor: Moment.optional(),
  /** Two days of samples and a few more. */
  limit: z.coerce.number().int().min(1).max(1_000).default(600),
});

/** How an agent fared. */
export function agentHealthRoutes(
  agents: Pick<AgentService, 'find'>,
  history: Pick<HealthHistory, 'list'>,
): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.get(
      '/agents/:agent/health',
      {
        config: { verb: 'agent.read' },
        schema: {
          summary: 'How an agent fared, a sample for each five minutes, the oldest first',
          params: Params,
          querystring: Query,
          response: { 200: pageOf(HealthSample) },
        },
      },
      async (request) => {
        const row = await agents.find(request.params.agent);
        permit(request, agentResource(row, request.params.agent));
        const { since, until, cursor: after, limit } = request.query;
        const samples = await history.list({ agentId: row.agent_id, since, until, after, limit: limit + 1 });
        return page(samples, limit, (last) => last.at);
      },
    );
    done();
  };
}
