import type { AuditReport } from '@drawbridge/protocol/api';
import type { AuditRow } from '../store/audit-repository.ts';
import { AuditFixture } from './audit-fixture.ts';
import { readStored, verifyTampered } from './tampering-fixture.ts';
import type { StoredLog } from './tampering-fixture.ts';

/** For tests: how many records a log has before somebody tampers with it. */
export const RECORDS = 25;
/** For tests: checkpoints stand at 10 and 20: the last five records are not signed. */
export const STRETCH = 10;
export const SIGNED = 20;
/** For tests: the number of every record. */
export const ALL = Array.from({ length: RECORDS }, (_, index) => index + 1);

/** For tests: a log that somebody tampers with, each time anew. Disposing leaves nothing. */
export class TamperedLog implements AsyncDisposable {
  readonly audit: AuditFixture;
  /** What was stored before anybody touched it. */
  readonly intact: StoredLog;

  private constructor(audit: AuditFixture, intact: StoredLog) {
    this.audit = audit;
    this.intact = intact;
  }

  static async make(): Promise<TamperedLog> {
    const audit = await AuditFixture.make();
    await audit.fill(RECORDS, STRETCH);
    return new TamperedLog(audit, await readStored(audit));
  }

  /** What is found after `tamper` has changed the intact log. */
  verify(tamper: (stored: StoredLog) => void): Promise<AuditReport> {
    return verifyTampered(this.audit, this.intact, tamper);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.audit[Symbol.asyncDispose]();
  }
}

/** For tests: the kinds of problems in a report, each once. */
export function kinds({ problems }: AuditReport): string[] {
  return [...new Set(problems.map(({ kind }) => kind))];
}

/** For tests: the record of that number. */
export function rowOf(stored: StoredLog, seq: number): AuditRow {
  const row = stored.records.find((one) => one.seq === seq);
  if (row === undefined) throw new Error(`no record ${seq}`);
  return row;
}

/** For tests: another value of the same kind. */
export function edited(row: object, column: string): unknown {
  const value: unknown = Object.entries(row).find(([key]) => key === column)?.[1];
  if (typeof value === 'number') return value + 1;
  if (column === 'result') return value === 'allowed' ? 'denied' : 'allowed';
  if (column === 'details') return '{"count":99}';
  if (column.endsWith('hash')) return 'ab'.repeat(32);
  return typeof value === 'string' ? `${value.slice(0, -1)}${value.endsWith('A') ? 'B' : 'A'}` : 'planted';
}
