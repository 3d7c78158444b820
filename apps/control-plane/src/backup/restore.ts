import { createReadStream } from 'node:fs';
import { Kysely } from 'kysely';
import type { Clock } from '@drawbridge/link';
import { ControlError } from '@drawbridge/protocol';
import type { BackupHeader } from '@drawbridge/protocol/api';
import { secretsEqual } from '@drawbridge/runtime';
import { readArchive } from '@drawbridge/runtime/backup-archive';
import type { ArchiveSummary, ArchiveVisitor } from '@drawbridge/runtime/backup-archive';
import { AuditChainEnd } from '../audit/audit-chain-end.ts';
import { prepareRecord } from '../audit/prepare-record.ts';
import { actorText, SYSTEM } from '../operators/actor.ts';
import { AuditRepository } from '../store/audit-repository.ts';
import { BackupRepository } from '../store/backup-repository.ts';
import { MIGRATIONS } from '../store/migrations/index.ts';
import { assertKnown, migrateWithin, migrationsRun } from '../store/migrator.ts';
import { openStore } from '../store/open-store.ts';
import type { StoreLocation } from '../store/open-store.ts';
import type { Schema } from '../store/schema.ts';
import type { Db } from '../store/store.ts';
import { timestamp } from '../store/timestamp.ts';
import { uuidv7 } from '../store/uuid.ts';
import { archiveMac, loadKeysFor } from './key-check.ts';
import type { Keys } from './key-check.ts';
import { BACKUP_LIMITS } from './limits.ts';
import { RowWriter } from './row-writer.ts';
import { settleRestored } from './settle-restored.ts';
import type { Settled } from './settle-restored.ts';

/** What is put back, and where. */
export interface RestoreOptions {
  readonly file: string;
  readonly location: StoreLocation;
  /** Holds the keys, and a store on SQLite. */
  readonly dataDir: string;
  /** True: whatever the store holds is gone afterwards. */
  readonly isForced: boolean;
  readonly clock: Clock;
}

/** What was put back. */
export interface Restored {
  readonly header: BackupHeader;
  readonly rows: number;
  readonly settled: Settled;
}

/**
 * Puts a backup back, all of it or nothing, into the store that no control plane runs on. The archive is read twice: whether it is
 * whole is certain before anything is touched.
 */
export async function restore(options: RestoreOptions): Promise<Restored> {
  const { file, location, dataDir, isForced, clock } = options;
  const summary = await readFile(file);
  const { header } = summary;
  assertKnownHere(header);
  const keys = await loadKeysFor(header, dataDir);
  assertGenuine(summary, keys);
  await using store = await openStore(location, dataDir, clock, { pauseMsMax: BACKUP_LIMITS.restorePauseMsMax });
  const db = new Kysely<Schema>({ dialect: store.dialect });
  assertKnown(await migrationsRun(db), MIGRATIONS);
  const settled = await db.transaction().execute(async (trx) => {
    const repository = new BackupRepository(trx);
    if (!isForced && !(await repository.isEmpty())) {
      const message = 'the store is not empty: with --force everything in it is replaced by what is in the backup';
      throw new ControlError('conflict', message);
    }
    await repository.dropTables();
    await migrateWithin(trx, MIGRATIONS.slice(0, header.migrations.length), clock);
    await repository.clear();
    await putBack(file, summary, new RowWriter(repository));
    await migrateWithin(trx, MIGRATIONS.slice(header.migrations.length), clock);
    const changes = await settleRestored(trx, header.created_at, clock);
    await record(trx, keys, { header, rows: rowsOf(summary), settled: changes }, clock);
    return changes;
  });
  return { header, rows: rowsOf(summary), settled };
}

/** Reads the file to its end. Rejects with `invalid_request`, naming it, when it cannot be read, or is not whole. */
async function readFile(file: string, visitor: ArchiveVisitor = {}): Promise<ArchiveSummary> {
  try {
    return await readArchive(createReadStream(file), visitor);
  } catch (error) {
    if (error instanceof ControlError && error.code === 'invalid_request') {
      throw new ControlError('invalid_request', `${file}: ${error.message}`, { cause: error });
    }
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    throw new ControlError('invalid_request', `${file} cannot be read: ${error.message}`, { cause: error });
  }
}

async function putBack(file: string, summary: ArchiveSummary, writer: RowWriter): Promise<void> {
  const again = await readFile(file, { row: (row) => writer.add(row) });
  if (again.trailer.sha256 !== summary.trailer.sha256) {
    throw new ControlError('invalid_request', `${file} has changed while it was read`);
  }
  await writer.end();
}

/** What the archive's schema was must be the beginning of what this program knows. */
function assertKnownHere({ migrations }: BackupHeader): void {
  const names = MIGRATIONS.map(({ name }) => name);
  const unknown = migrations.find((name, index) => names[index] !== name);
  if (unknown === undefined) return;
  const message = `the backup is newer than this program: it has migration ${unknown}; run the version that made it`;
  throw new ControlError('unsupported', message);
}

/** Whoever can write where backups are kept could otherwise make themselves an admin. */
function assertGenuine({ trailer }: ArchiveSummary, { box }: Keys): void {
  if (secretsEqual(archiveMac(box, trailer.sha256), trailer.mac)) return;
  throw new ControlError(
    'invalid_request',
    'the backup was altered: the holder of secret.key has not made it like that',
  );
}

/** The chain goes on from where it was: with the record of this, signed. */
async function record(db: Db, { identity }: Keys, { header, rows, settled }: Restored, clock: Clock): Promise<void> {
  const at = timestamp(clock);
  const entry = {
    actor: actorText(SYSTEM),
    actorName: SYSTEM.name,
    verb: 'server.restore',
    resource: null,
    agentId: null,
    address: null,
    requestId: null,
    result: 'allowed',
    reason: null,
    details: { from: header.created_at, records: rows, count: settled.commands },
  } as const;
  const end = await AuditChainEnd.lock(new AuditRepository(db));
  await end.append([prepareRecord(entry, uuidv7(clock.now()), at)]);
  await end.checkpoint(identity, at);
}

function rowsOf({ trailer }: ArchiveSummary): number {
  return Object.values(trailer.rows).reduce((sum, count) => sum + count, 0);
}
