import type { AuditEntry } from '../audit/audit-entry.ts';
import type { Principals } from '../operators/principals.ts';
import type { BulkRunRow } from '../store/bulk-runs-repository.ts';
import { BulkTargetsRepository } from '../store/bulk-targets-repository.ts';
import type { BulkTargetRow } from '../store/bulk-targets-repository.ts';
import type { Db } from '../store/store.ts';
import { BULK_ENGINE_LIMITS } from './limits.ts';
import { verbOfRun } from './new-bulk-run.ts';

export interface RecordParts {
  readonly db: Db;
  readonly principals: Pick<Principals, 'byText'>;
  readonly audit: { record(entry: AuditEntry): Promise<void> };
}

/**
 * Tells the audit log of every target that was started or refused: at least once, since a crash between the record and the mark
 * repeats it. While the log takes none, this rejects, and nothing more is started.
 */
export async function recordTargets({ db, principals, audit }: RecordParts, run: BulkRunRow): Promise<void> {
  const repository = new BulkTargetsRepository(db);
  for (;;) {
    const targets = await repository.unrecorded(run.id, BULK_ENGINE_LIMITS.rowsMax);
    if (targets.length === 0) return;
    const actorName = (await principals.byText(run.created_by))?.name ?? null;
    await Promise.all(targets.map((target) => audit.record(entryOf(run, target, actorName))));
    await repository.markRecorded(
      run.id,
      targets.map(({ position }) => position),
    );
  }
}

function entryOf(run: BulkRunRow, target: BulkTargetRow, actorName: string | null): AuditEntry {
  const isRefused = target.state === 'refused';
  return {
    actor: run.created_by,
    actorName,
    verb: verbOfRun(run),
    resource: `agent:${target.agent_id}`,
    agentId: target.agent_id,
    address: null,
    requestId: null,
    result: isRefused ? 'denied' : 'allowed',
    reason: isRefused ? target.error_code : null,
    details: {
      ...(target.command_id === null ? {} : { command_id: target.command_id }),
      ...(target.task_id === null ? {} : { task_id: target.task_id }),
      ...(run.provider === null ? { operation: run.operation } : { provider: run.provider }),
      target_id: run.id,
      via: 'bulk',
    },
  };
}
