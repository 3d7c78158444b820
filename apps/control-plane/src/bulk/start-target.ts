import type { Clock } from '@drawbridge/link';
import { ControlError, isOperationName } from '@drawbridge/protocol';
import type { Kysely } from 'kysely';
import { agentNotFound, resourceOfAgent } from '../agents/agent-resource.ts';
import type { Presence } from '../agents/presence.ts';
import type { CommandService } from '../commands/command-service.ts';
import type { Actor } from '../operators/actor.ts';
import { authorise } from '../operators/authorise.ts';
import type { Principals } from '../operators/principals.ts';
import { AgentsRepository } from '../store/agents-repository.ts';
import type { BulkRunRow } from '../store/bulk-runs-repository.ts';
import { BulkTargetsRepository } from '../store/bulk-targets-repository.ts';
import type { BulkTargetRow } from '../store/bulk-targets-repository.ts';
import type { Schema } from '../store/schema.ts';
import type { SecretBox } from '../store/secret-box.ts';
import type { Db } from '../store/store.ts';
import { timestamp } from '../store/timestamp.ts';
import type { TaskService } from '../tasks/task-service.ts';
import { verbOfRun } from './new-bulk-run.ts';
import { openContent } from './run-content.ts';

export interface StartParts {
  readonly db: Kysely<Schema>;
  readonly commands: Pick<CommandService, 'create'>;
  readonly tasks: Pick<TaskService, 'create'>;
  readonly principals: Pick<Principals, 'byText'>;
  readonly presence: Pick<Presence, 'current'>;
  readonly box: SecretBox;
  readonly clock: Clock;
  /** Whether an agent that is away is to be waited for, although the run queues nothing. */
  readonly isReturning: (run: BulkRunRow) => boolean;
}

/** Where a target is after it was to be started: `later` means that it still waits, and is to be tried again. */
export type Started = 'started' | 'ended' | 'later';

/** What passes: the target waits on. */
const PASSING: ReadonlySet<string> = new Set(['rate_limited', 'server_draining']);

/** What `alongside` throws to undo a command whose target waits no more. */
class NotWaiting extends Error {
  override readonly name = 'NotWaiting';
}

/**
 * Starts one target, if its agent and the rights of this moment let it. Its command is stored in the transaction that marks it
 * as started, so that no crash starts it twice or forgets it.
 */
export async function startTarget(parts: StartParts, run: BulkRunRow, target: BulkTargetRow): Promise<Started> {
  const isAway = run.queue_if_offline === 0 && parts.presence.current(target.agent_id) === undefined;
  if (isAway && parts.isReturning(run)) return 'later';
  try {
    await create(parts, run, target, await authorised(parts, run, target));
    return 'started';
  } catch (error) {
    if (error instanceof NotWaiting) return 'later';
    if (!(error instanceof ControlError) || error.code === 'store_unavailable') throw error;
    if (PASSING.has(error.code)) return 'later';
    // Where its command is stored all the same, because the agent went away right then, the command's own end counts.
    await new BulkTargetsRepository(parts.db).move(target, 'waiting', {
      state: error.code === 'forbidden' ? 'refused' : 'failed',
      error_code: error.code,
      error_message: error.message,
      ended_at: timestamp(parts.clock),
    });
    return 'ended';
  }
}

/** Who asked for the run, with the rights of now: it may have waited for days. */
async function authorised({ db, principals }: StartParts, run: BulkRunRow, target: BulkTargetRow): Promise<Actor> {
  const actor = await principals.byText(run.created_by);
  if (actor === undefined) throw new ControlError('forbidden', `${run.created_by} has no access any more`);
  const agent = await new AgentsRepository(db).find(target.agent_id);
  if (agent === undefined || agent.status === 'revoked') throw agentNotFound(target.agent_name);
  const unseen = () => new ControlError('forbidden', `${actor.name} may not see agent ${target.agent_name} any more`);
  authorise(actor, verbOfRun(run), resourceOfAgent(agent, unseen));
  return actor;
}

async function create(parts: StartParts, run: BulkRunRow, target: BulkTargetRow, actor: Actor): Promise<void> {
  const content = openContent(parts.box, run);
  const common = {
    agentId: target.agent_id,
    timeoutSeconds: run.timeout_seconds,
    queueIfOffline: run.queue_if_offline === 1,
    ttlSeconds: run.ttl_seconds,
  };
  const mark = async (db: Db, ids: { command_id: string; task_id: string | null }) => {
    const started = { ...ids, started_at: timestamp(parts.clock) };
    if (!(await new BulkTargetsRepository(db).start(target, started))) throw new NotWaiting();
  };
  if ('instructions' in content) {
    const { provider, mode, model } = run;
    const { instructions } = content;
    const task = { provider: provider ?? '', instructions, mode: mode ?? undefined, model: model ?? undefined };
    await parts.tasks.create({ ...common, ...task, idempotencyKey: undefined }, actor, (db, row) =>
      mark(db, { command_id: row.command_id, task_id: row.id }),
    );
    return;
  }
  const { operation } = run;
  if (!isOperationName(operation)) throw new ControlError('unsupported', `this version has no operation ${operation}`);
  await parts.commands.create({ ...common, operation, params: content.params, hasDeadline: true }, actor, (db, row) =>
    mark(db, { command_id: row.id, task_id: null }),
  );
}
