import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { NewSession, SessionInfo } from '@drawbridge/protocol';
import { agentResource } from '../../agents/agent-resource.ts';
import type { AgentService } from '../../agents/agent-service.ts';
import type { AgentSessions } from '../../sessions/agent-sessions.ts';
import { noteAudit, permit } from '../permit.ts';
import { untilClosed } from '../until-closed.ts';

const AgentParams = z.strictObject({ agent: z.string().min(1).max(64).describe('id or name of the agent') });
const Params = AgentParams.extend({ id: z.uuid() });

export interface AgentSessionRouteParts {
  readonly sessions: AgentSessions;
  readonly agents: AgentService;
}

/** Shells and other programs that stay on an agent: begun, listed, ended. Attaching to one is a WebSocket. */
export function agentSessionRoutes({ sessions, agents }: AgentSessionRouteParts): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.post(
      '/agents/:agent/sessions',
      {
        config: { verb: 'terminal.open', creates: true },
        schema: {
          summary: 'Begins a session on an agent: its shell, or a command, on a terminal or on pipes',
          params: AgentParams,
          body: NewSession.nullish(),
          response: { 201: SessionInfo },
        },
      },
      async (request, reply) => {
        const agent = await agents.find(request.params.agent);
        const actor = permit(request, agentResource(agent, request.params.agent));
        const wanted = request.body ?? NewSession.parse({});
        noteAudit(request, { details: { mode: wanted.mode } });
        const session = await sessions.create(agent.agent_id, wanted, actor, untilClosed(reply));
        noteAudit(request, { details: { session_id: session.session_id } });
        return reply.code(201).send(session);
      },
    );
    app.get(
      '/agents/:agent/sessions',
      {
        config: { verb: 'terminal.observe' },
        schema: {
          summary: 'The sessions of an agent, those that ended a short while ago too',
          params: AgentParams,
          response: { 200: z.object({ items: z.array(SessionInfo), next_cursor: z.null() }) },
        },
      },
      async (request, reply) => {
        const agent = await agents.find(request.params.agent);
        const actor = permit(request, agentResource(agent, request.params.agent));
        return { items: await sessions.list(agent.agent_id, actor, untilClosed(reply)), next_cursor: null };
      },
    );
    app.get(
      '/agents/:agent/sessions/:id',
      {
        config: { verb: 'terminal.observe' },
        schema: { summary: 'One session', params: Params, response: { 200: SessionInfo } },
      },
      async (request, reply) => {
        const agent = await agents.find(request.params.agent);
        const actor = permit(request, agentResource(agent, request.params.agent));
        return sessions.get(agent.agent_id, request.params.id, actor, untilClosed(reply));
      },
    );
    app.delete(
      '/agents/:agent/sessions/:id',
      {
        config: { verb: 'terminal.open' },
        schema: {
          summary: 'Ends a session and everything that runs in it; the answer says how it ended',
          params: Params,
          response: { 200: SessionInfo },
        },
      },
      async (request, reply) => {
        const agent = await agents.find(request.params.agent);
        const actor = permit(request, agentResource(agent, request.params.agent));
        noteAudit(request, { details: { session_id: request.params.id } });
        return sessions.end(agent.agent_id, request.params.id, actor, untilClosed(reply));
      },
    );
    done();
  };
}
