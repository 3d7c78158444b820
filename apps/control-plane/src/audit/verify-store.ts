import type { Kysely } from 'kysely';
import { AuditChain, GENESIS_HASH } from '@drawbridge/protocol';
import type { AuditAnchor, AuditReport } from '@drawbridge/protocol/api';
import { auditHash, checkpointVerifier } from '@drawbridge/runtime';
import type { AuditSigner } from '@drawbridge/runtime';
import { AuditRepository } from '../store/audit-repository.ts';
import type { Schema } from '../store/schema.ts';
import { readableRecordOf } from './chain-rows.ts';
import { walk } from './walk.ts';

/** A sweep takes the oldest records away under a walk's feet; then it is walked again, this often at most. */
const ATTEMPTS_MAX = 3;

/** Walks along the stored chain and says what is wrong with it. `expected`: what is known of it from elsewhere. */
export async function verifyStore(
  db: Kysely<Schema>,
  signer: AuditSigner,
  expected: readonly AuditAnchor[],
  signal?: AbortSignal,
): Promise<AuditReport> {
  const audit = new AuditRepository(db);
  for (let attempt = 1; ; attempt += 1) {
    const oldestSeq = await audit.oldestSeq();
    const report = await verifyOnce(db, signer, expected, signal);
    if (report.ok || attempt === ATTEMPTS_MAX || (await audit.oldestSeq()) === oldestSeq) return report;
  }
}

async function verifyOnce(
  db: Kysely<Schema>,
  signer: AuditSigner,
  expected: readonly AuditAnchor[],
  signal: AbortSignal | undefined,
): Promise<AuditReport> {
  const isGenuine = checkpointVerifier(signer);
  const end = await new AuditRepository(db).end();
  // A head that was deleted says that there is nothing.
  const { seq, hash, checkpoint_seq: checkpointSeq } = end;
  const said = { seq: seq ?? 0, hash: hash ?? GENESIS_HASH, checkpointSeq: checkpointSeq ?? 0 };
  const chain = new AuditChain(expected);
  const through = {
    recordSeq: Math.max(said.seq, end.newest_record_seq ?? 0),
    checkpointSeq: end.newest_checkpoint_seq ?? 0,
  };
  for await (const step of walk(db, through, signal)) {
    if ('checkpoint' in step) {
      chain.checkpoint(step.checkpoint, isGenuine(step.checkpoint));
      continue;
    }
    const record = readableRecordOf(step.record);
    if (record === undefined) chain.unreadable(step.record.seq, step.record.hash);
    else chain.record(record, auditHash(record));
  }
  return chain.end(said);
}
