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
import type { AgentService } from '../../agents/agent-service.ts';
import { isFinal } from '../../commands/command-state.ts';
import type { CommandService } from '../../commands/command-service.ts';
import { commandView } from '../../commands/command-view.ts';
import { authorise } from '../../operators/authorise.ts';
import { actorOf } from '../authenticate.ts';
import { untilClosed } from '../until-closed.ts';

const AgentParams = z.strictObject({ agent: z.string().min(1).max(64) });
const Params = z.strictObject({ id: z.uuid() });
/** The answer is held back this long at most; then it is 202 and the command goes on. */
const WAIT_SECONDS_MAX = 300;

export function commandRoutes(
  commands: CommandService,
  agents: AgentService,
  timeoutSecondsDefault: number,
): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.post(
      '/agents/:agent/commands',
      { schema: { params: AgentParams, body: bodyOf(timeoutSecondsDefault) } },
      async (request, reply) => {
        const actor = actorOf(request);
        const agent = await agents.find(request.params.agent);
        authorise(actor, 'agent.command', { agentId: agent.agent_id });
        const { operation, params } = parseOperation(request.body.operation, request.body.params);
        const {
          timeout_seconds: timeoutSeconds,
          queue_if_offline: queueIfOffline,
          ttl_seconds: ttlSeconds,
        } = request.body;
        const made = await commands.create(
          { agentId: agent.agent_id, operation, params, timeoutSeconds, queueIfOffline, ttlSeconds, hasDeadline: true },
          actor,
        );
        // A little longer than the command's own limit: its end is worth waiting for.
        const waitMs = (Math.min(timeoutSeconds, WAIT_SECONDS_MAX) + 2) * 1000;
        const signal = queueIfOffline
          ? AbortSignal.timeout(0)
          : AbortSignal.any([untilClosed(reply), AbortSignal.timeout(waitMs)]);
        const row = await commands.wait(made.id, signal);
        return reply.code(isFinal(row.state) ? 200 : 202).send(commandView(row));
      },
    );
    app.get('/commands/:id', { schema: { params: Params } }, async (request) => {
      const row = await commands.get(request.params.id);
      authorise(actorOf(request), 'agent.command', { agentId: row.agent_id });
      return commandView(row);
    });
    app.post('/commands/:id/cancel', { schema: { params: Params } }, async (request) => {
      const row = await commands.get(request.params.id);
      authorise(actorOf(request), 'agent.command', { agentId: row.agent_id });
      return commandView(await commands.cancel(row.id));
    });
    done();
  };
}

/** `timeoutSecondsDefault` is the limit of a command that names none: `agents.command_timeout`. */
function bodyOf(timeoutSecondsDefault: number) {
  return z.strictObject({
    operation: z.string().min(1).max(64),
    params: z.record(z.string(), z.unknown()).default({}),
    timeout_seconds: z.number().int().min(1).max(LIMITS.commandTtlSecondsMax).default(timeoutSecondsDefault),
    queue_if_offline: z.boolean().default(false),
    ttl_seconds: z.number().int().min(1).max(LIMITS.commandTtlSecondsMax).default(LIMITS.commandTtlSecondsDefault),
  });
}

function parseOperation(
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
