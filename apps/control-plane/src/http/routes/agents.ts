import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { AgentName, ControlError, LabelText, Labels, parseSelector } from '@drawbridge/protocol';
import { AgentPage, AgentView, IssuedAgentKey } from '@drawbridge/protocol/api';
import { agentResource, labelsText } from '../../agents/agent-resource.ts';
import type { AgentService } from '../../agents/agent-service.ts';
import { agentView } from '../../agents/agent-view.ts';
import type { Presence } from '../../agents/presence.ts';
import { AGENTS, scopeOf } from '../../operators/authorise.ts';
import type { Resource } from '../../operators/authorise.ts';
import type { Believed } from '../../store/believed.ts';
import { Page, page } from '../page.ts';
import { noteAudit, permit } from '../permit.ts';
import { prepared } from '../prepared-answer.ts';

const Params = z.strictObject({ agent: z.string().min(1).max(64).describe('id or name of the agent') });
const ListQuery = Page.extend({
  selector: z.string().max(2048).default('').describe('k=v, k!=v, k or !k, joined by commas'),
  status: z.enum(['online', 'offline']).optional(),
});
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
const Change = z.strictObject({
  name: AgentName.optional(),
  labels: z.record(LabelText, LabelText.nullable()).optional().describe('null removes a label'),
});

export interface AgentRouteParts {
  readonly agents: AgentService;
  readonly presence: Presence;
  /** Pages of the list as they were lately; whoever makes it forgets them when an agent changes. */
  readonly pages: Believed<AgentPage>;
}

/** Agents: found, named, labelled, revoked. */
export function agentRoutes({ agents, presence, pages }: AgentRouteParts): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.get(
      '/agents',
      {
        config: { verb: 'agent.read' },
        schema: { summary: 'Agents, by name', querystring: ListQuery, response: { 200: AgentPage } },
      },
      async (request) => {
        const actor = permit(request, AGENTS);
        const { limit, cursor, selector: text, status } = request.query;
        const scope = scopeOf(actor, 'agent.read');
        const selector = parseSelector(text);
        // Many look at the same agents at the same time.
        return pages.of(JSON.stringify([limit, cursor, selector, status, scope]), async () => {
          const rows = await agents.list({ limit: limit + 1, cursor }, { scope, selector, status });
          const views = rows.map((row) => agentView(row, presence.current(row.agent_id)));
          return prepared(page(views, limit, (last) => last.name));
        });
      },
    );
    app.post(
      '/agents',
      {
        config: { verb: 'admin.agents', creates: true },
        schema: {
          summary: 'Makes an agent that signs in with an API key',
          body: NewAgent,
          response: { 201: IssuedAgentKey },
        },
      },
      async (request, reply) => {
        const { name, labels, expires_in_seconds: expiresInSeconds } = request.body;
        permit(request, agentToBe('', labels));
        const made = await agents.createWithKey(name, labels, expiresInSeconds);
        const details = { agent_name: name, labels: labelsText(labels) };
        noteAudit(request, { resource: `agent:${made.agentId}`, agentId: made.agentId, details });
        return reply.code(201).send({ agent_id: made.agentId, name, auth_token: made.key, expires_at: made.expiresAt });
      },
    );
    app.get(
      '/agents/:agent',
      {
        config: { verb: 'agent.read' },
        schema: { summary: 'One agent and its health', params: Params, response: { 200: AgentView } },
      },
      async (request) => {
        const row = await agents.find(request.params.agent);
        permit(request, agentResource(row, request.params.agent));
        return agentView(row, presence.current(row.agent_id));
      },
    );
    app.patch(
      '/agents/:agent',
      {
        config: { verb: 'admin.agents' },
        schema: { summary: 'Renames or labels an agent', params: Params, body: Change, response: { 200: AgentView } },
      },
      async (request) => {
        const row = await agents.find(request.params.agent);
        permit(request, agentResource(row, request.params.agent));
        const { name, labels } = request.body;
        const changed = agents.changed(row, { name, labels });
        // Nobody moves an agent into, or out of, their own reach.
        permit(request, agentToBe(row.agent_id, changed.labels));
        if (name !== undefined) noteAudit(request, { details: { from: row.name, to: name } });
        if (labels !== undefined) noteAudit(request, { details: { labels: labelsText(changed.labels) } });
        const after = await agents.update(row, changed);
        return agentView(after, presence.current(after.agent_id));
      },
    );
    app.delete(
      '/agents/:agent',
      {
        config: { verb: 'admin.agents' },
        schema: { summary: 'Cuts an agent off for good', params: Params, response: { 204: z.undefined() } },
      },
      async (request, reply) => {
        const row = await agents.find(request.params.agent);
        permit(request, agentResource(row, request.params.agent));
        noteAudit(request, { details: { agent_name: row.name } });
        await agents.revoke(row.agent_id);
        return reply.code(204).send();
      },
    );
    done();
  };
}

/** An agent as the caller wants it: what they ask for themselves need not be hidden from them. */
function agentToBe(agentId: string, labels: Labels): Resource {
  const missing = () => new ControlError('forbidden', 'an agent with these labels is out of your reach');
  return { kind: 'agent', agentId, labels, missing };
}
