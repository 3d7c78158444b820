import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { HeartbeatSeconds, LIMITS } from '@drawbridge/protocol';
import { AgentConfigView } from '@drawbridge/protocol/api';
import { z } from 'zod';
import { agentResource } from '../../agents/agent-resource.ts';
import type { AgentService } from '../../agents/agent-service.ts';
import type { AgentSettings } from '../../agents/agent-settings.ts';
import { noteAudit, permit } from '../permit.ts';

const Params = z.strictObject({ agent: z.string().min(1).max(64).describe('id or name of the agent') });
const Change = z.strictObject({
  heartbeat_interval: HeartbeatSeconds.nullable().optional().describe('seconds; null: what all agents are told'),
  command_timeout: z
    .number()
    .int()
    .min(1)
    .max(LIMITS.commandTtlSecondsMax)
    .nullable()
    .optional()
    .describe('seconds, for commands that name no limit; null: what all agents are told'),
});

/** What one agent is told to do differently from others, and what it says to that. */
export function agentConfigRoutes(
  agents: Pick<AgentService, 'find'>,
  settings: Pick<AgentSettings, 'view' | 'change'>,
): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.get(
      '/agents/:agent/config',
      {
        config: { verb: 'agent.read' },
        schema: {
          summary: 'What the agent is told to do, and whether it does',
          params: Params,
          response: { 200: AgentConfigView },
        },
      },
      async (request) => {
        const row = await agents.find(request.params.agent);
        permit(request, agentResource(row, request.params.agent));
        return settings.view(row.agent_id);
      },
    );
    app.patch(
      '/agents/:agent/config',
      {
        config: { verb: 'admin.agents' },
        schema: {
          summary:
            "Tells the agent to do something else, now and whenever it comes; the agent's own file has the last word",
          params: Params,
          body: Change,
          response: { 200: AgentConfigView },
        },
      },
      async (request) => {
        const row = await agents.find(request.params.agent);
        permit(request, agentResource(row, request.params.agent));
        const to = Object.entries(request.body).map(([key, value]) => `${key}=${value}`);
        noteAudit(request, { details: { agent_name: row.name, to: to.join(' ') } });
        return settings.change(row.agent_id, request.body);
      },
    );
    done();
  };
}
