import type { Kysely } from 'kysely';
import { AUDIT_SWEEP_VERB, ControlError } from '@drawbridge/protocol';
import { checkpointVerifier } from '@drawbridge/runtime';
import type { AuditSigner } from '@drawbridge/runtime';
import { AuditRepository } from '../store/audit-repository.ts';
import type { Schema } from '../store/schema.ts';
import { AuditChainEnd } from './audit-chain-end.ts';
import { AUDIT_LIMITS } from './limits.ts';
import { prepareRecord } from './prepare-record.ts';
import type { UnchainedRecord } from './prepare-record.ts';

/** Which records go, and how the record of that is made. */
export interface SweepOptions {
  readonly db: Kysely<Schema>;
  readonly signer: AuditSigner;
  /** Records older than this go, as far as a checkpoint made before it signs them. */
  readonly before: string;
  /** Id and time of the sweep's own record. */
  readonly stamp: () => { readonly id: string; readonly at: string };
}

/**
 * Deletes whole stretches before a checkpoint, and records that in the same transaction: the checkpoint stays, and vouches for what
 * is gone. Resolves with the number of records deleted. Rejects with `conflict`, deleting nothing, when the checkpoint is forged or
 * signs another record: then somebody has to look first.
 */
export async function sweep(options: SweepOptions): Promise<number> {
  let total = 0;
  for (;;) {
    const deleted = await sweepOnce(options);
    if (deleted === 0) return total;
    total += deleted;
  }
}

function sweepOnce({ db, signer, before, stamp }: SweepOptions): Promise<number> {
  return db.transaction().execute(async (trx) => {
    const audit = new AuditRepository(trx);
    const end = await AuditChainEnd.lock(audit);
    const oldestSeq = await audit.oldestSeq();
    if (oldestSeq === undefined) return 0;
    const checkpoint = await audit.checkpointNear(oldestSeq + AUDIT_LIMITS.sweepRecordsMax - 1, before);
    if (checkpoint === undefined || checkpoint.seq < oldestSeq) return 0;
    if (!checkpointVerifier(signer)(checkpoint) || (await audit.hashOf(checkpoint.seq)) !== checkpoint.hash) {
      const message = `the audit log was tampered with around record ${checkpoint.seq}: nothing was deleted`;
      throw new ControlError('conflict', message);
    }
    const records = await audit.deleteThrough(checkpoint.seq);
    await end.append([sweepRecord(stamp(), checkpoint.seq, records)]);
    return records;
  });
}

function sweepRecord(stamp: { id: string; at: string }, throughSeq: number, records: number): UnchainedRecord {
  const entry = {
    actor: 'system:system',
    actorName: null,
    verb: AUDIT_SWEEP_VERB,
    resource: null,
    agentId: null,
    address: null,
    requestId: null,
    result: 'allowed',
    reason: 'older than audit.retention_days',
    details: { through_seq: throughSeq, records },
  } as const;
  return prepareRecord(entry, stamp.id, stamp.at);
}
