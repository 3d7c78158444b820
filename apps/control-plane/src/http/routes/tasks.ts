import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { ControlError, Instructions, LIMITS, ProviderName, TaskTimeoutSeconds } from '@drawbridge/protocol';
import type { AgentService } from '../../agents/agent-service.ts';
import { authorise } from '../../operators/authorise.ts';
import { isEnded } from '../../tasks/task-service.ts';
import type { TaskService } from '../../tasks/task-service.ts';
import type { OutputRequest, TaskOutput } from '../../tasks/task-output.ts';
import { taskView } from '../../tasks/task-view.ts';
import { actorOf } from '../authenticate.ts';
import { Page, page } from '../page.ts';
import { untilClosed } from '../until-closed.ts';

const Params = z.strictObject({ id: z.uuid() });
const Body = z.strictObject({
  agent_id: z.string().min(1).max(64),
  provider: ProviderName,
  instructions: Instructions,
  mode: z.string().max(64).optional(),
  model: z.string().max(128).optional(),
  timeout_seconds: TaskTimeoutSeconds.default(LIMITS.taskTimeoutSecondsDefault),
  queue_if_offline: z.boolean().default(false),
  ttl_seconds: z.number().int().min(1).max(LIMITS.commandTtlSecondsMax).default(LIMITS.commandTtlSecondsDefault),
});
const ListQuery = Page.extend({ agent: z.string().min(1).max(64).optional() });
const WaitQuery = z.strictObject({ wait_seconds: z.coerce.number().int().min(0).max(60).default(0) });
const OutputQuery = z.strictObject({
  since: z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(0),
  follow: z.stringbool().default(false),
});
const IdempotencyKey = z.string().min(1).max(255);

export function taskRoutes(tasks: TaskService, output: TaskOutput, agents: AgentService): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.post('/tasks', { schema: { body: Body }, bodyLimit: 1_048_576 }, async (request, reply) => {
      const actor = actorOf(request);
      const agent = await agents.find(request.body.agent_id);
      authorise(actor, 'task.run', { agentId: agent.agent_id });
      const { body } = request;
      const task = await tasks.create(
        {
          agentId: agent.agent_id,
          provider: body.provider,
          instructions: body.instructions,
          mode: body.mode,
          model: body.model,
          timeoutSeconds: body.timeout_seconds,
          queueIfOffline: body.queue_if_offline,
          ttlSeconds: body.ttl_seconds,
          idempotencyKey: idempotencyKey(request.headers['idempotency-key']),
        },
        actor,
      );
      return reply.code(201).send(taskView(task));
    });
    app.get('/tasks', { schema: { querystring: ListQuery } }, async (request) => {
      authorise(actorOf(request), 'task.read', {});
      const { limit, cursor, agent } = request.query;
      const agentId = agent === undefined ? undefined : (await agents.find(agent)).agent_id;
      const rows = await tasks.list(limit + 1, cursor, agentId);
      return page(rows.map(taskView), limit, (last) => last.id);
    });
    // `wait_seconds` holds the answer back until the task has ended, or the time is over.
    app.get('/tasks/:id', { schema: { params: Params, querystring: WaitQuery } }, async (request, reply) => {
      const task = await tasks.get(request.params.id);
      authorise(actorOf(request), 'task.read', { agentId: task.agent_id });
      const waitMs = request.query.wait_seconds * 1000;
      if (waitMs === 0 || isEnded(task)) return taskView(task);
      const signal = AbortSignal.any([untilClosed(reply), AbortSignal.timeout(waitMs)]);
      const ended = await tasks.waitFor(task.id, isEnded, signal).catch((error: unknown) => {
        if (signal.aborted) return tasks.get(task.id);
        throw error;
      });
      return taskView(ended);
    });
    app.post('/tasks/:id/cancel', { schema: { params: Params } }, async (request) => {
      const task = await tasks.get(request.params.id);
      authorise(actorOf(request), 'task.cancel', { agentId: task.agent_id });
      return taskView(await tasks.cancel(task.id));
    });
    for (const file of ['output', 'result'] as const) {
      const schema = { params: Params, querystring: OutputQuery };
      app.get(`/tasks/:id/${file}`, { schema }, async (request, reply) => {
        const task = await tasks.get(request.params.id);
        const actor = actorOf(request);
        authorise(actor, 'task.read', { agentId: task.agent_id });
        return sendOutput(output, { taskId: task.id, file, actor, ...request.query }, reply);
      });
    }
    done();
  };
}

/** Raw bytes of a hostile machine: never to be taken for a page. */
async function sendOutput(output: TaskOutput, request: OutputRequest, reply: FastifyReply) {
  const gone = untilClosed(reply);
  const { sizeBytes, bytes } = await output.open(request, gone);
  reply.header('content-type', 'application/octet-stream').header('x-content-type-options', 'nosniff');
  if (sizeBytes !== undefined) {
    reply.header('x-next-offset', sizeBytes).header('content-length', Math.max(0, sizeBytes - request.since));
  }
  // The headers go out at once: whoever follows knows that it is connected, long before the first byte.
  reply.raw.once('pipe', () => reply.raw.flushHeaders());
  return reply.send(Readable.from(bytes, { objectMode: false, highWaterMark: LIMITS.framePayloadBytesMax }));
}

function idempotencyKey(header: string | string[] | undefined): string | undefined {
  if (header === undefined) return undefined;
  const parsed = IdempotencyKey.safeParse(header);
  if (!parsed.success) throw new ControlError('invalid_request', 'Idempotency-Key is 1 to 255 characters');
  return parsed.data;
}
