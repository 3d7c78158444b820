import { ControlError, isOperationName } from '@drawbridge/protocol';
import type { OperationName } from '@drawbridge/protocol';
import type { Verb } from '@drawbridge/protocol/api';
import { agentResource } from '../agents/agent-resource.ts';
import { verbOfOperation } from '../commands/operation-verb.ts';
import type { Actor } from '../operators/actor.ts';
import { can } from '../operators/authorise.ts';
import type { AgentRow } from '../store/agents-repository.ts';
import type { BulkRunRow } from '../store/bulk-runs-repository.ts';
import type { BulkTargetRow } from '../store/bulk-targets-repository.ts';
import type { AgentChoice } from './choose-agents.ts';
import type { RunContent } from './run-content.ts';

/** What somebody wants many agents to do. */
export interface NewBulkRun {
  readonly choice: AgentChoice;
  /** The group whose selector it is. */
  readonly groupName: string | null;
  readonly operation: OperationName;
  readonly content: RunContent;
  readonly provider: string | null;
  readonly mode: string | null;
  readonly model: string | null;
  readonly timeoutSeconds: number;
  readonly queueIfOffline: boolean;
  readonly ttlSeconds: number;
  readonly concurrency: number;
  readonly failuresMax: number | null;
}

/** True for a run that starts tasks. */
export function isTaskRun({ operation }: Pick<BulkRunRow, 'operation'>): boolean {
  return operation === 'task.start';
}

/** The right that a run asks for on each of its agents. */
export function verbOfRun({ operation }: Pick<BulkRunRow, 'operation'>): Verb {
  if (!isOperationName(operation)) throw new ControlError('unsupported', `this version has no operation ${operation}`);
  return verbOfOperation(operation);
}

/** The run as it is stored, before any of its targets has started; `content` is sealed. */
export function newRunRow(
  wanted: NewBulkRun,
  { id, createdBy, now, content }: { id: string; createdBy: string; now: string; content: Uint8Array },
): BulkRunRow {
  return {
    id,
    state: 'running',
    group_name: wanted.groupName,
    selector: wanted.choice.kind === 'selector' ? wanted.choice.selector : null,
    operation: wanted.operation,
    provider: wanted.provider,
    mode: wanted.mode,
    model: wanted.model,
    content,
    timeout_seconds: wanted.timeoutSeconds,
    queue_if_offline: wanted.queueIfOffline ? 1 : 0,
    ttl_seconds: wanted.ttlSeconds,
    concurrency: wanted.concurrency,
    failures_max: wanted.failuresMax,
    created_by: createdBy,
    created_at: now,
    ended_at: null,
  };
}

/** A target: it waits, or is refused when the actor may see the agent but not do this to it. */
export function newTargetRow(run: BulkRunRow, agent: AgentRow, position: number, actor: Actor): BulkTargetRow {
  const verb = verbOfRun(run);
  const isAllowed = can(actor, verb, agentResource(agent, agent.agent_id));
  return {
    run_id: run.id,
    position,
    agent_id: agent.agent_id,
    agent_name: agent.name,
    state: isAllowed ? 'waiting' : 'refused',
    command_id: null,
    task_id: null,
    error_code: isAllowed ? null : 'forbidden',
    error_message: isAllowed ? null : `${actor.name} has no right to ${verb} on agent ${agent.name}`,
    is_recorded: 0,
    started_at: null,
    ended_at: isAllowed ? null : run.created_at,
  };
}
