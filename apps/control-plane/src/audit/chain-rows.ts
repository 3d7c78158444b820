import { canonicalJson } from '@drawbridge/protocol';
import { AuditFacts, AuditRecord } from '@drawbridge/protocol/api';
import { auditHash } from '@drawbridge/runtime';
import type { AuditHeadRow, AuditRow } from '../store/audit-repository.ts';
import { jsonColumn } from '../store/json-codec.ts';
import type { UnchainedRecord } from './prepare-record.ts';

const details = jsonColumn('audit_records.details', AuditFacts);

/** The rows that continue the chain behind `head`. */
export function chainRows(head: Pick<AuditHeadRow, 'seq' | 'hash'>, records: readonly UnchainedRecord[]): AuditRow[] {
  let previousHash = head.hash;
  return records.map((unchained, index) => {
    const record = { ...unchained, seq: head.seq + index + 1, previous_hash: previousHash };
    const hash = auditHash(record);
    previousHash = hash;
    return { ...record, details: canonicalJson(record.details), hash };
  });
}

/** The record a row holds. Throws for a row that was not written here. */
export function recordOf(row: AuditRow): AuditRecord {
  const record = AuditRecord.parse({ ...row, details: details.decode(row.details) });
  // Other white space would be another text with the same meaning.
  if (canonicalJson(record.details) !== row.details) throw new Error(`record ${row.seq}: details are not canonical`);
  return record;
}

/** The record a row holds, or undefined for a row that was not written here. */
export function readableRecordOf(row: AuditRow): AuditRecord | undefined {
  try {
    return recordOf(row);
  } catch {
    return undefined;
  }
}
