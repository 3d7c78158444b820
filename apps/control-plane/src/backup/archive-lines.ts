import { createHash } from 'node:crypto';
import { ControlError } from '@drawbridge/protocol';
import type { BackupHeader, BackupTrailer } from '@drawbridge/protocol/api';
import { ARCHIVE_LINE_BYTES_MAX } from '@drawbridge/runtime/backup-archive';
import { BackupRepository } from '../store/backup-repository.ts';
import { BACKUP_TABLE_NAMES } from '../store/backup-tables.ts';
import type { Db } from '../store/store.ts';
import { encodeRow } from './archive-rows.ts';

/** A snapshot as the lines of an archive, some at a time. `authenticate` makes the trailer's `mac` of its SHA-256. */
export async function* archiveLines(
  db: Db,
  header: BackupHeader,
  authenticate: (sha256: string) => string,
): AsyncGenerator<string, BackupTrailer['rows']> {
  const hash = createHash('sha256');
  const told = (text: string): string => {
    hash.update(text);
    return text;
  };
  yield told(`${JSON.stringify(header)}\n`);
  const repository = new BackupRepository(db);
  const rows: BackupTrailer['rows'] = {};
  for (const table of BACKUP_TABLE_NAMES) {
    let count = 0;
    for await (const page of repository.pages(table)) {
      count += page.length;
      yield told(page.map((row) => bounded(table, encodeRow(table, row))).join(''));
    }
    rows[table] = count;
  }
  const sha256 = hash.digest('hex');
  const trailer: BackupTrailer = { rows, sha256, mac: authenticate(sha256) };
  yield `${JSON.stringify(trailer)}\n`;
  return rows;
}

/** An archive that could not be read again would be none. */
function bounded(table: string, line: string): string {
  if (Buffer.byteLength(line) <= ARCHIVE_LINE_BYTES_MAX) return line;
  throw new ControlError('internal', `a row of ${table} has more than ${ARCHIVE_LINE_BYTES_MAX} bytes`);
}
