import type { FastifyRequest } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { CloseReason, ControlError } from '@drawbridge/protocol';
import { IssuedTunnel, IssuedTunnelToken, TunnelRequest, TunnelView, pageOf } from '@drawbridge/protocol/api';
import { agentResource, resourceOfAgent } from '../../agents/agent-resource.ts';
import type { AgentService } from '../../agents/agent-service.ts';
import { actorText } from '../../operators/actor.ts';
import { AGENTS, scopeOf } from '../../operators/authorise.ts';
import { tunnelNotFound } from '../../tunnels/lease-ends.ts';
import type { Leases } from '../../tunnels/leases.ts';
import type { OperatorTokens } from '../../tunnels/operator-tokens.ts';
import type { TunnelList } from '../../tunnels/tunnel-list.ts';
import { verbOfTunnel } from '../../tunnels/tunnel-verb.ts';
import { actorOf } from '../authenticate.ts';
import { Page, page } from '../page.ts';
import { noteAudit, permit } from '../permit.ts';

const Params = z.strictObject({ id: z.uuid() });
const ListQuery = Page.extend({
  agent: z.string().min(1).max(64).optional().describe('id or name of an agent'),
  state: TunnelView.shape.state.optional(),
  include_ended: z.stringbool().default(false).describe('also leases that ended in the last seven days'),
});

export interface TunnelRouteParts {
  readonly list: TunnelList;
  readonly leases: Leases;
  readonly tokens: OperatorTokens;
  readonly agents: AgentService;
}

/** Finds the tunnel, and what it takes to know that it is there. */
function finder({ list, agents }: Pick<TunnelRouteParts, 'list' | 'agents'>) {
  return async (tunnelId: string) => {
    const missing = () => tunnelNotFound(tunnelId);
    const view = await list.find(tunnelId);
    if (view === undefined) throw missing();
    return { view, resource: resourceOfAgent(await agents.findAny(view.agent_id), missing, 'tunnel.read') };
  };
}

function isOwn(request: FastifyRequest, view: TunnelView): boolean {
  return view.operator_id === actorText(actorOf(request));
}

/** The tunnels of the agents the caller may see, and fresh tokens for their own. */
export function tunnelRoutes(parts: TunnelRouteParts): FastifyPluginCallbackZod {
  const { list, leases, tokens, agents } = parts;
  const find = finder(parts);
  return (app, _options, done) => {
    app.get(
      '/tunnels',
      {
        config: { verb: 'tunnel.read' },
        schema: {
          summary: 'Tunnels that are not over, by id; with `include_ended` also those that are',
          querystring: ListQuery,
          response: { 200: pageOf(TunnelView) },
        },
      },
      async (request) => {
        const actor = permit(request, AGENTS);
        const { limit, cursor = '', agent: asked, state, include_ended: includesEnded } = request.query;
        let agentId: string | undefined;
        if (asked !== undefined) {
          const agent = await agents.findAny(asked);
          permit(request, agentResource(agent, asked));
          agentId = agent.agent_id;
        }
        const filter = { agentId, state, includesEnded, scope: scopeOf(actor, 'tunnel.read') };
        return page(await list.list({ limit: limit + 1, cursor }, filter), limit, (last) => last.tunnel_id);
      },
    );
    app.get(
      '/tunnels/:id',
      {
        config: { verb: 'tunnel.read' },
        schema: {
          summary: 'One tunnel; a lease also after it has ended',
          params: Params,
          response: { 200: TunnelView },
        },
      },
      async (request) => {
        const { view, resource } = await find(request.params.id);
        permit(request, resource);
        return view;
      },
    );
    app.post(
      '/tunnels/:id/token',
      {
        config: { verb: 'tunnel.open' },
        schema: {
          summary: "A fresh token for the operator's end: of the caller's own lease, or of one they take over",
          params: Params,
          body: z.strictObject({ takeover: z.boolean().default(false) }).nullish(),
          response: { 201: IssuedTunnelToken },
        },
      },
      async (request, reply) => {
        const { view, resource } = await find(request.params.id);
        const actor = permit(request, resource, verbOfTunnel(view.protocol));
        noteAudit(request, { details: { tunnel_id: view.tunnel_id } });
        if (!isOwn(request, view)) {
          if (request.body?.takeover !== true) throw new ControlError('already_connected', 'the tunnel is not yours');
          permit(request, resource, 'tunnel.takeover');
        }
        const lease = leases.find(view.tunnel_id);
        if (lease === undefined) throw new ControlError('conflict', `tunnel ${view.tunnel_id} is over`);
        return reply.code(201).send(await tokens.issue(lease, actor));
      },
    );
    done();
  };
}

/** Leases: asked for and closed. Their paths are older than the others. */
export function leaseRoutes(parts: TunnelRouteParts): FastifyPluginCallbackZod {
  const { leases, tokens, agents } = parts;
  const find = finder(parts);
  return (app, _options, done) => {
    app.post(
      '/api/tunnel/request',
      {
        config: { verb: 'tunnel.open', creates: true },
        schema: {
          summary: "Leases a tunnel through an agent; its first token, for the operator's end, comes with it",
          body: TunnelRequest,
          response: { 201: IssuedTunnel },
        },
      },
      async (request, reply) => {
        const { agent_id: asked, ...wanted } = request.body;
        const agent = await agents.find(asked);
        const actor = permit(request, agentResource(agent, asked), verbOfTunnel(wanted.protocol));
        noteAudit(request, { details: { protocol: wanted.protocol } });
        const lease = await leases.request(actor, agent, wanted);
        const { tunnelId, port, domain, state } = lease;
        noteAudit(request, { details: { tunnel_id: tunnelId, port, domain, state } });
        return reply.code(201).send(await tokens.issueLease(lease, actor));
      },
    );
    app.delete(
      '/api/tunnel/:id',
      {
        // The end itself is recorded, once, when it is stored: also where that is later than the answer.
        config: { verb: 'tunnel.takeover', audit: false },
        schema: {
          summary: "Ends a lease: the caller's own, or anybody's where they may take over",
          params: Params,
          response: { 204: z.undefined() },
        },
      },
      async (request, reply) => {
        const { view, resource } = await find(request.params.id);
        const isMine = isOwn(request, view);
        const actor = permit(request, resource, isMine ? verbOfTunnel(view.protocol) : 'tunnel.takeover');
        noteAudit(request, { verb: 'tunnel.close', details: { tunnel_id: view.tunnel_id } });
        if (view.kind === 'system') throw new ControlError('conflict', 'the tunnel is the control plane’s own');
        const reason = isMine ? 'closed by its operator' : `closed by ${actor.name}`;
        const { id, ip: address } = request;
        await leases.end(
          view.tunnel_id,
          { code: CloseReason.Cancelled, reason },
          { kind: 'request', id, address, actor },
        );
        return reply.code(204).send();
      },
    );
    done();
  };
}
