import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { parseSelector } from '@drawbridge/protocol';
import { AgentView, GroupView, PlainName, pageOf } from '@drawbridge/protocol/api';
import type { AgentService } from '../../agents/agent-service.ts';
import { agentView } from '../../agents/agent-view.ts';
import type { Presence } from '../../agents/presence.ts';
import type { Groups } from '../../groups/groups.ts';
import { AGENTS, CONTROL_PLANE, scopeOf } from '../../operators/authorise.ts';
import { Page, page } from '../page.ts';
import { noteAudit, permit } from '../permit.ts';

const Params = z.strictObject({ group: z.string().min(1).max(64).describe('id or name of the group') });
const SelectorText = z.string().max(2048).describe('k=v, k!=v, k or !k, joined by commas; empty: every agent');
const Description = z.string().max(255);
const NewGroup = z.strictObject({ name: PlainName, selector: SelectorText, description: Description.default('') });
const Change = z.strictObject({
  name: PlainName.optional(),
  selector: SelectorText.optional(),
  description: Description.optional(),
});
const AgentsQuery = Page.extend({ status: z.enum(['online', 'offline']).optional() });

export interface GroupRouteParts {
  readonly groups: Groups;
  readonly agents: AgentService;
  readonly presence: Presence;
}

/** Groups of agents: seen by whoever may see agents, changed by who has `admin.groups`. */
export function groupRoutes({ groups, agents, presence }: GroupRouteParts): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.get(
      '/groups',
      {
        config: { verb: 'agent.read' },
        schema: { summary: 'Groups, by name', querystring: Page, response: { 200: pageOf(GroupView) } },
      },
      async (request) => {
        permit(request, AGENTS);
        const { limit, cursor } = request.query;
        return page(await groups.list(limit + 1, cursor), limit, (last) => last.name);
      },
    );
    app.post(
      '/groups',
      {
        config: { verb: 'admin.groups', creates: true },
        schema: { summary: 'Gives a selector a name', body: NewGroup, response: { 201: GroupView } },
      },
      async (request, reply) => {
        const actor = permit(request, CONTROL_PLANE);
        const group = await groups.create(request.body, actor);
        noteGroup(request, group);
        return reply.code(201).send(group);
      },
    );
    app.get(
      '/groups/:group',
      {
        config: { verb: 'agent.read' },
        schema: { summary: 'One group', params: Params, response: { 200: GroupView } },
      },
      async (request) => {
        permit(request, AGENTS);
        return groups.find(request.params.group);
      },
    );
    app.get(
      '/groups/:group/agents',
      {
        config: { verb: 'agent.read' },
        schema: {
          summary: 'The agents that are in a group now, as far as the caller may see them, by name',
          params: Params,
          querystring: AgentsQuery,
          response: { 200: pageOf(AgentView) },
        },
      },
      async (request) => {
        const actor = permit(request, AGENTS);
        const group = await groups.find(request.params.group);
        const { limit, cursor, status } = request.query;
        const rows = await agents.list(
          { limit: limit + 1, cursor },
          { scope: scopeOf(actor, 'agent.read'), selector: parseSelector(group.selector), status },
        );
        const views = rows.map((row) => agentView(row, presence.current(row.agent_id)));
        return page(views, limit, (last) => last.name);
      },
    );
    app.patch(
      '/groups/:group',
      {
        config: { verb: 'admin.groups' },
        schema: {
          summary: 'Renames a group, or gives it another selector',
          params: Params,
          body: Change,
          response: { 200: GroupView },
        },
      },
      async (request) => {
        permit(request, CONTROL_PLANE);
        const before = await groups.find(request.params.group);
        noteGroup(request, before);
        const after = await groups.update(before.id, request.body);
        noteAudit(request, { details: { from: before.selector, to: after.selector, name: after.name } });
        return after;
      },
    );
    app.delete(
      '/groups/:group',
      {
        config: { verb: 'admin.groups' },
        schema: { summary: 'Removes a group; its agents stay', params: Params, response: { 204: z.undefined() } },
      },
      async (request, reply) => {
        permit(request, CONTROL_PLANE);
        const group = await groups.find(request.params.group);
        noteGroup(request, group);
        await groups.delete(group.id);
        return reply.code(204).send();
      },
    );
    done();
  };
}

function noteGroup(request: Parameters<typeof noteAudit>[0], group: GroupView): void {
  noteAudit(request, {
    resource: `group:${group.id}`,
    details: { group: group.name, selector: group.selector },
  });
}
