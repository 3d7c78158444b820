import type { Insertable } from 'kysely';
import type { AuditReport } from '@drawbridge/protocol/api';
import type { AuditCheckpointRow, AuditRow } from '../store/audit-repository.ts';
import type { AuditHeadTable } from '../store/schema.ts';
import type { AuditFixture } from './audit-fixture.ts';
import { chainRows, recordOf } from './chain-rows.ts';

/** For tests: all that the store holds of the log, to be changed at will. */
export interface StoredLog {
  records: AuditRow[];
  checkpoints: AuditCheckpointRow[];
  head: Insertable<AuditHeadTable>[];
}

/** For tests: what is stored now. */
export async function readStored({ db }: AuditFixture): Promise<StoredLog> {
  return {
    records: await db.selectFrom('audit_records').selectAll().orderBy('seq').execute(),
    checkpoints: await db.selectFrom('audit_checkpoints').selectAll().orderBy('seq').execute(),
    head: await db.selectFrom('audit_head').selectAll().execute(),
  };
}

/** For tests: puts `stored` in place of what is there, by SQL. */
export async function writeStored({ db }: AuditFixture, stored: StoredLog): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await trx.deleteFrom('audit_records').execute();
    await trx.deleteFrom('audit_checkpoints').execute();
    await trx.deleteFrom('audit_head').execute();
    if (stored.records.length > 0) await trx.insertInto('audit_records').values(stored.records).execute();
    if (stored.checkpoints.length > 0) await trx.insertInto('audit_checkpoints').values(stored.checkpoints).execute();
    if (stored.head.length > 0) await trx.insertInto('audit_head').values(stored.head).execute();
  });
}

/** For tests: what somebody finds who comes after `tamper`, and knows nothing but the server's key. */
export async function verifyTampered(
  audit: AuditFixture,
  intact: StoredLog,
  tamper: (stored: StoredLog) => void,
): Promise<AuditReport> {
  const stored = structuredClone(intact);
  tamper(stored);
  await writeStored(audit, stored);
  return audit.newLog().verify();
}

/** For tests: what somebody without the key can do: number all records anew, and compute every hash and the head. */
export function rehash(stored: StoredLog): void {
  const unchained = stored.records.map((row) => {
    const { seq: _seq, previous_hash: _previous, hash: _hash, ...record } = recordOf(row);
    return record;
  });
  stored.records = chainRows({ seq: 0, hash: '0'.repeat(64) }, unchained);
  const last = stored.records.at(-1);
  for (const head of stored.head) {
    head.seq = last?.seq ?? 0;
    head.hash = last?.hash ?? '0'.repeat(64);
  }
}
