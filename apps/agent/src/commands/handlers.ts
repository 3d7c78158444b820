import { ControlError, TaskStartParams, OPERATIONS } from '@drawbridge/protocol';
import type { AgentInfo, OperationName, TaskOutcome } from '@drawbridge/protocol';
import type { z } from 'zod';
import type { AgentSessions } from '../sessions/agent-sessions.ts';
import type { TaskRunner } from '../tasks/task-runner.ts';
import type { AgentTunnels } from '../tunnels/agent-tunnels.ts';
import type { EventOutbox } from './event-outbox.ts';
import type { OperationHandler } from './executor.ts';

/** The parts of the agent that operations act on. */
export interface HandlerParts {
  readonly runner: Pick<TaskRunner, 'run'>;
  readonly tunnels: Pick<AgentTunnels, 'open' | 'close'>;
  readonly sessions: Pick<AgentSessions, 'create' | 'end' | 'get' | 'list'>;
  readonly events: Pick<EventOutbox, 'append'>;
  readonly nowMs: () => number;
  readonly info: () => Promise<AgentInfo>;
  readonly settings: () => Record<string, unknown>;
}

/** One line per operation: read this to know everything an agent can be asked to do. */
export function makeHandlers({
  runner,
  tunnels,
  sessions,
  events,
  nowMs,
  info,
  settings,
}: HandlerParts): Record<OperationName, OperationHandler> {
  return {
    'agent.ping': handler(OPERATIONS['agent.ping'].params, async ({ echo }) => ({
      time: new Date(nowMs()).toISOString(),
      ...(echo === undefined ? {} : { echo }),
    })),
    'agent.info': handler(OPERATIONS['agent.info'].params, () => info()),
    'config.get': handler(OPERATIONS['config.get'].params, async () => settings()),
    'session.create': handler(OPERATIONS['session.create'].params, (params, signal) => sessions.create(params, signal)),
    'session.end': handler(OPERATIONS['session.end'].params, ({ session_id: id }, signal) => sessions.end(id, signal)),
    'session.get': handler(OPERATIONS['session.get'].params, ({ session_id: id }, signal) => sessions.get(id, signal)),
    'session.list': handler(OPERATIONS['session.list'].params, (_params, signal) => sessions.list(signal)),
    'task.start': handler(TaskStartParams, (params, signal) => runTask(runner, events, nowMs, params, signal)),
    'tunnel.open': handler(OPERATIONS['tunnel.open'].params, async ({ tunnel_id: tunnelId, ...leg }, signal) => {
      await tunnels.open({ tunnelId, ...leg }, signal);
      return { tunnel_id: tunnelId };
    }),
    'tunnel.close': handler(OPERATIONS['tunnel.close'].params, async ({ tunnel_id: tunnelId, reason }) => {
      tunnels.close(tunnelId, reason);
      return { tunnel_id: tunnelId };
    }),
  };
}

async function runTask(
  runner: HandlerParts['runner'],
  events: HandlerParts['events'],
  nowMs: () => number,
  params: TaskStartParams,
  signal: AbortSignal,
): Promise<TaskOutcome> {
  // `starting` was told by the command's own `started`.
  const onState = (state: 'starting' | 'running') => {
    if (state === 'starting') return;
    events.append('task.state', { task_id: params.task_id, state, at: new Date(nowMs()).toISOString() });
  };
  const outcome = await runner.run(params, { onState }, signal);
  // Its directory was there before us: it ran once, under a journal that did not survive. What came of it nobody knows.
  if (outcome.error?.code === 'conflict') throw new ControlError('indeterminate', outcome.error.message);
  return outcome;
}

/** A handler that sees its own parameters; the executor has checked them against the same schema. */
function handler<Params extends z.ZodType>(
  schema: Params,
  run: (params: z.output<Params>, signal: AbortSignal) => Promise<unknown>,
): OperationHandler {
  return (params, signal) => run(schema.parse(params), signal);
}
