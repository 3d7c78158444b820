import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import {
  ControlError,
  LIMITS,
  OPERATIONS,
  OPERATIONS_WITH_A_ROUTE,
  firstIssue,
  isOperationName,
} from '@drawbridge/protocol';
import type { OperationName } from '@drawbridge/protocol';
import { CommandView } from '@drawbridge/protocol/api';
import { agentResource, resourceOfAgent } from '../../agents/agent-resource.ts';
import type { AgentService } from '../../agents/agent-service.ts';
import type { AgentSettings } from '../../agents/agent-settings.ts';
import type { Presence } from '../../agents/presence.ts';
import { isFinal } from '../../commands/command-state.ts';
import { commandNotFound } from '../../commands/command-service.ts';
import type { CommandService } from '../../commands/command-service.ts';
import { commandView } from '../../commands/command-view.ts';
import { verbOfOperation, verbToCancel, verbToRead } from '../../commands/operation-verb.ts';
import type { CommandRow } from '../../store/commands-repository.ts';
import { noteAudit, permit } from '../permit.ts';
import { untilClosed } from '../until-closed.ts';

const AgentParams = z.strictObject({ agent: z.string().min(1).max(64).describe('id or name of the agent') });
const Params = z.strictObject({ id: z.uuid() });
const Body = z.strictObject({
  operation: z.string().min(1).max(64),
  params: z.record(z.string(), z.unknown()).default({}),
  timeout_seconds: z
    .number()
    .int()
    .min(1)
    .max(LIMITS.commandTtlSecondsMax)
    .optional()
    .describe("without it, the agent's command_timeout"),
  queue_if_offline: z.boolean().default(false),
  ttl_seconds: z.number().int().min(1).max(LIMITS.commandTtlSecondsMax).default(LIMITS.commandTtlSecondsDefault),
});
/** The answer is held back this long at most; then it is 202 and the command goes on. */
const WAIT_SECONDS_MAX = 300;

export interface CommandRouteParts {
  readonly commands: CommandService;
  readonly agents: AgentService;
  readonly presence: Presence;
  /** What an agent is told: the limit of a command that names none. */
  readonly settings: Pick<AgentSettings, 'toldTo'>;
}

/** One operation on one agent: asked for, looked at, cancelled. */
export function commandRoutes(parts: CommandRouteParts): FastifyPluginCallbackZod {
  const { commands, agents, presence, settings } = parts;
  const resourceOf = async (row: CommandRow) =>
    resourceOfAgent(await agents.findAny(row.agent_id), () => commandNotFound(row.id), verbToRead(row.operation));
  return (app, _options, done) => {
    app.post(
      '/agents/:agent/commands',
      {
        config: { verb: 'agent.command', creates: true },
        schema: {
          summary: 'Runs one operation on an agent: 200 with its end, 202 while it waits or runs',
          params: AgentParams,
          body: Body,
          response: { 200: CommandView, 202: CommandView },
        },
      },
      async (request, reply) => {
        // First what holds for every agent: whether this one is there must not show.
        const { operation, params } = parseOperation(request.body.operation, request.body.params);
        const agent = await agents.find(request.params.agent);
        const actor = permit(request, agentResource(agent, request.params.agent), verbOfOperation(operation));
        const {
          timeout_seconds: timeoutSeconds = (await settings.toldTo(agent.agent_id)).config.command_timeout,
          queue_if_offline: queueIfOffline,
          ttl_seconds: ttlSeconds,
        } = request.body;
        const made = await commands.create(
          { agentId: agent.agent_id, operation, params, timeoutSeconds, queueIfOffline, ttlSeconds, hasDeadline: true },
          actor,
        );
        noteAudit(request, { details: { command_id: made.id, operation } });
        // Nobody is there to end it.
        if (presence.current(agent.agent_id) === undefined) return reply.code(202).send(commandView(made));
        // A little longer than the command's own limit: its end is worth waiting for.
        const waitMs = (Math.min(timeoutSeconds, WAIT_SECONDS_MAX) + 2) * 1000;
        const row = await commands.wait(made.id, AbortSignal.any([untilClosed(reply), AbortSignal.timeout(waitMs)]));
        return reply.code(isFinal(row.state) ? 200 : 202).send(commandView(row));
      },
    );
    app.get(
      '/commands/:id',
      {
        config: { verb: 'agent.command' },
        schema: { summary: 'A command and how it ended', params: Params, response: { 200: CommandView } },
      },
      async (request) => {
        const row = await commands.get(request.params.id);
        permit(request, await resourceOf(row), verbToRead(row.operation));
        return commandView(row);
      },
    );
    app.post(
      '/commands/:id/cancel',
      {
        config: { verb: 'agent.command' },
        schema: { summary: 'Cancels a command', params: Params, response: { 200: CommandView } },
      },
      async (request) => {
        const row = await commands.get(request.params.id);
        permit(request, await resourceOf(row), verbToCancel(row.operation));
        noteAudit(request, { details: { command_id: row.id, operation: row.operation } });
        return commandView(await commands.cancel(row.id));
      },
    );
    done();
  };
}

/** The operation and its parameters, checked. Throws ControlError `invalid_request` for one that has a route of its own. */
export function parseOperation(
  name: string,
  params: Record<string, unknown>,
): { operation: OperationName; params: Record<string, unknown> } {
  if (!isOperationName(name)) throw new ControlError('invalid_request', `there is no operation ${name}`);
  if (OPERATIONS_WITH_A_ROUTE.has(name))
    throw new ControlError('invalid_request', `operation ${name} has a route of its own`);
  const parsed = OPERATIONS[name].params.safeParse(params);
  if (!parsed.success) throw new ControlError('invalid_request', `params of ${name}: ${firstIssue(parsed.error)}`);
  return { operation: name, params: parsed.data };
}
