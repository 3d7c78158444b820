import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { Instructions, LIMITS, ProviderName, TaskState, TaskTimeoutSeconds, parseSelector } from '@drawbridge/protocol';
import { TaskView, pageOf } from '@drawbridge/protocol/api';
import { agentResource, resourceOfAgent } from '../../agents/agent-resource.ts';
import type { AgentService } from '../../agents/agent-service.ts';
import type { AccessWatch } from '../../operators/access-watch.ts';
import type { Actor } from '../../operators/actor.ts';
import { AGENTS, authorise, scopeOf } from '../../operators/authorise.ts';
import type { TaskRow } from '../../store/tasks-repository.ts';
import { isEnded, taskNotFound } from '../../tasks/task-service.ts';
import type { TaskService } from '../../tasks/task-service.ts';
import type { OutputRequest, TaskOutput } from '../../tasks/task-output.ts';
import { taskView } from '../../tasks/task-view.ts';
import { idempotencyKey } from '../idempotency-key.ts';
import { Page, page } from '../page.ts';
import { noteAudit, permit } from '../permit.ts';
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
const ListQuery = Page.extend({
  agent: z.string().min(1).max(64).optional().describe('id or name of an agent'),
  state: TaskState.optional(),
  selector: z.string().max(2048).default('').describe('labels of the agent: k=v, k!=v, k or !k, joined by commas'),
});
const WaitQuery = z.strictObject({ wait_seconds: z.coerce.number().int().min(0).max(60).default(0) });
const OutputQuery = z.strictObject({
  since: z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(0),
  follow: z.stringbool().default(false),
});
/** Room for the instructions of 128 KiB, however they are escaped. */
const INSTRUCTIONS_BODY_BYTES_MAX = 1_048_576;

export interface TaskRouteParts {
  readonly tasks: TaskService;
  readonly output: TaskOutput;
  readonly agents: AgentService;
  readonly access: AccessWatch;
}

/** Tasks: started, listed, waited for, read, cancelled. */
export function taskRoutes({ tasks, output, agents, access }: TaskRouteParts): FastifyPluginCallbackZod {
  const resourceOf = async (task: TaskRow) =>
    resourceOfAgent(await agents.findAny(task.agent_id), () => taskNotFound(task.id), 'task.read');
  /** With the labels of that moment: whoever changes them moves the agent out of somebody's reach. */
  const mayStillRead = (task: TaskRow) => async (actor: Actor) => authorise(actor, 'task.read', await resourceOf(task));
  /** The id of the agent by that id or name, whose tasks the caller may read. */
  const readable = async (request: FastifyRequest, asked: string): Promise<string> => {
    const agent = await agents.find(asked);
    permit(request, agentResource(agent, asked));
    return agent.agent_id;
  };
  return (app, _options, done) => {
    app.post(
      '/tasks',
      {
        config: { verb: 'task.run' },
        bodyLimit: INSTRUCTIONS_BODY_BYTES_MAX,
        schema: { summary: 'Starts a task on an agent', body: Body, response: { 201: TaskView } },
      },
      async (request, reply) => {
        const agent = await agents.find(request.body.agent_id);
        const actor = permit(request, agentResource(agent, request.body.agent_id));
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
            idempotencyKey: idempotencyKey(request),
          },
          actor,
        );
        noteAudit(request, { details: { task_id: task.id, provider: task.provider } });
        return reply.code(201).send(taskView(task));
      },
    );
    app.get(
      '/tasks',
      {
        config: { verb: 'task.read' },
        schema: { summary: 'Tasks, the newest first', querystring: ListQuery, response: { 200: pageOf(TaskView) } },
      },
      async (request) => {
        const actor = permit(request, AGENTS);
        const { limit, cursor, agent, state, selector } = request.query;
        const labels = [scopeOf(actor, 'task.read'), [parseSelector(selector)]];
        const agentId = agent === undefined ? undefined : await readable(request, agent);
        const rows = await tasks.list({ limit: limit + 1, cursor }, { agentId, state, labels });
        return page(rows.map(taskView), limit, (last) => last.id);
      },
    );
    app.get(
      '/tasks/:id',
      {
        config: { verb: 'task.read' },
        schema: {
          summary: 'A task; `wait_seconds` holds the answer back until it has ended, or the time is over',
          params: Params,
          querystring: WaitQuery,
          response: { 200: TaskView },
        },
      },
      async (request, reply) => {
        const task = await tasks.get(request.params.id);
        const actor = permit(request, await resourceOf(task));
        const waitMs = request.query.wait_seconds * 1000;
        if (waitMs === 0 || isEnded(task)) return taskView(task);
        using watched = access.watch(actor, mayStillRead(task));
        const over = AbortSignal.any([untilClosed(reply), AbortSignal.timeout(waitMs)]);
        const signal = AbortSignal.any([over, watched.signal]);
        const ended = await tasks.waitFor(task.id, isEnded, signal).catch((error: unknown) => {
          if (over.aborted && !watched.signal.aborted) return tasks.get(task.id);
          throw error;
        });
        return taskView(ended);
      },
    );
    app.post(
      '/tasks/:id/cancel',
      {
        config: { verb: 'task.cancel' },
        schema: { summary: 'Cancels a task: what it started is ended', params: Params, response: { 200: TaskView } },
      },
      async (request) => {
        const task = await tasks.get(request.params.id);
        permit(request, await resourceOf(task));
        noteAudit(request, { details: { task_id: task.id } });
        return taskView(await tasks.cancel(task.id));
      },
    );
    for (const file of ['output', 'result'] as const) {
      const summary = `The bytes of the task's ${file}, from \`since\` on; \`follow\` goes on until it has ended`;
      const schema = { summary, params: Params, querystring: OutputQuery };
      const config = { verb: 'task.read', contentType: 'application/octet-stream' } as const;
      app.get(`/tasks/:id/${file}`, { config, schema }, async (request, reply) => {
        const task = await tasks.get(request.params.id);
        const actor = permit(request, await resourceOf(task));
        const watched = access.watch(actor, mayStillRead(task));
        reply.raw.once('close', () => watched[Symbol.dispose]());
        const signal = AbortSignal.any([untilClosed(reply), watched.signal]);
        return sendOutput({ output, request: { taskId: task.id, file, actor, ...request.query }, reply, signal });
      });
    }
    done();
  };
}

/** Raw bytes of a hostile machine: never to be taken for a page. */
async function sendOutput({
  output,
  request,
  reply,
  signal,
}: {
  output: TaskOutput;
  request: OutputRequest;
  reply: FastifyReply;
  signal: AbortSignal;
}) {
  const { sizeBytes, bytes } = await output.open(request, signal);
  reply.header('content-type', 'application/octet-stream').header('x-content-type-options', 'nosniff');
  if (sizeBytes !== undefined) {
    reply.header('x-next-offset', sizeBytes).header('content-length', Math.max(0, sizeBytes - request.since));
  }
  // The headers go out at once: whoever follows knows that it is connected, long before the first byte.
  reply.raw.once('pipe', () => reply.raw.flushHeaders());
  return reply.send(Readable.from(bytes, { objectMode: false, highWaterMark: LIMITS.framePayloadBytesMax }));
}
