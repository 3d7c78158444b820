import type { AuditRecord } from '@drawbridge/protocol/api';
import type { AuditFilter, AuditRepository } from '../store/audit-repository.ts';
import { readableRecordOf } from './chain-rows.ts';

/** Which records, and how many. */
export interface AuditQuery {
  readonly filter: AuditFilter;
  readonly limit: number;
  /** Older than this record. */
  readonly beforeSeq?: number | undefined;
}

/** Some records, newest first, and where the next ones begin; null when there are none. */
export interface AuditRecordPage {
  readonly records: readonly AuditRecord[];
  readonly nextSeq: number | null;
}

/** Reads one page. A row that was tampered with beyond reading is left out; `verify` names it. */
export async function listRecords(audit: AuditRepository, query: AuditQuery): Promise<AuditRecordPage> {
  const { filter, limit, beforeSeq } = query;
  // The one too many says that there is another page.
  const rows = await audit.newest(limit + 1, beforeSeq, filter);
  const shown = rows.slice(0, limit);
  const records = shown.map(readableRecordOf).filter((record) => record !== undefined);
  return { records, nextSeq: rows.length > limit ? (shown.at(-1)?.seq ?? null) : null };
}
