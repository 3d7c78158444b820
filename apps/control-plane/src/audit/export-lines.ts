import type { Kysely } from 'kysely';
import type { AuditExportHeader, AuditRecord } from '@drawbridge/protocol/api';
import type { AuditSigner } from '@drawbridge/runtime';
import { AuditRepository } from '../store/audit-repository.ts';
import type { AuditRow } from '../store/audit-repository.ts';
import type { Schema } from '../store/schema.ts';
import { readableRecordOf } from './chain-rows.ts';
import { walk } from './walk.ts';

/** Lines that travel as one chunk. */
const LINES_PER_CHUNK = 100;

/**
 * The log as NDJSON, in chunks of whole lines: a header, then records and checkpoints in the order of the chain, up to the newest
 * checkpoint. What is read next is read when the chunk before was taken.
 */
export async function* exportLines(
  db: Kysely<Schema>,
  signer: AuditSigner,
  at: string,
  signal?: AbortSignal,
): AsyncGenerator<string> {
  const newest = (await new AuditRepository(db).newestCheckpoint()) ?? null;
  const header = {
    format: 'drawbridge-audit/1',
    server_id: signer.serverId,
    public_key: signer.publicKey,
    exported_at: at,
    newest,
  } satisfies AuditExportHeader;
  let chunk = `${JSON.stringify(header)}\n`;
  let lines = 1;
  const through = { recordSeq: newest?.seq ?? 0, checkpointSeq: newest?.seq ?? 0 };
  for await (const step of walk(db, through, signal)) {
    chunk += `${JSON.stringify('record' in step ? recordLine(step.record) : step)}\n`;
    lines += 1;
    if (lines % LINES_PER_CHUNK !== 0) continue;
    yield chunk;
    chunk = '';
  }
  if (chunk !== '') yield chunk;
}

/** A row that was tampered with beyond reading is shown as it is: whoever checks the file finds it. */
function recordLine(row: AuditRow): { readonly record: AuditRecord | AuditRow } {
  return { record: readableRecordOf(row) ?? row };
}
