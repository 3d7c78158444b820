import { createWriteStream } from 'node:fs';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { gunzipSync, gzipSync } from 'node:zlib';
import { FakeClock } from '@drawbridge/testkit';
import { memoryLog } from '@drawbridge/runtime/testing';
import { Kysely } from 'kysely';
import { AuditLog } from '../audit/audit-log.ts';
import { ServerIdentity } from '../identity/server-identity.ts';
import { SYSTEM, actorText } from '../operators/actor.ts';
import type { Engine } from '../store/engine.ts';
import { MIGRATIONS } from '../store/migrations/index.ts';
import { migrate } from '../store/migrator.ts';
import { openStore } from '../store/open-store.ts';
import type { Schema } from '../store/schema.ts';
import { SecretBox } from '../store/secret-box.ts';
import type { Store } from '../store/store.ts';
import { makeTestDatabase } from '../store/test-database-fixture.ts';
import type { TestDatabase } from '../store/test-database-fixture.ts';
import { Backups } from './backups.ts';
import { fillStore } from './filled-store-fixture.ts';
import { IDENTITY_FILE, KEY_FILE } from './key-check.ts';

/** For tests: an open store with what makes backups of it. */
export interface BackupWorld extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly clock: FakeClock;
  readonly store: Store;
  readonly db: Kysely<Schema>;
  readonly backups: Backups;
  readonly lines: readonly Record<string, unknown>[];
}

/** For tests: a new control plane's store, with rows in every table. Closing it keeps the database. */
export async function openWorld(database: TestDatabase): Promise<BackupWorld> {
  const { location, dir } = database;
  const clock = new FakeClock();
  const { log, lines } = memoryLog();
  const store = await openStore(location, dir.path, clock);
  const db = new Kysely<Schema>({ dialect: store.dialect });
  await migrate(db, MIGRATIONS, clock);
  const box = await SecretBox.load(dir.join(KEY_FILE));
  const identity = await ServerIdentity.load(dir.join(IDENTITY_FILE));
  const backups = new Backups({ store, box, identity, clock, log });
  return {
    database,
    clock,
    store,
    db,
    backups,
    lines,
    async [Symbol.asyncDispose]() {
      await backups[Symbol.asyncDispose]();
      await store.close();
    },
  };
}

/** For tests: fills every table, with a chain of audit records whose end is signed. */
export async function fillWorld({ db, clock, database }: BackupWorld): Promise<void> {
  await fillStore(db);
  const identity = await ServerIdentity.load(database.dir.join(IDENTITY_FILE));
  await using audit = new AuditLog({ db, identity, clock, log: memoryLog().log, retentionDays: 1 });
  for (const verb of ['task.run', 'admin.users']) await audit.record(auditEntry(verb));
}

function auditEntry(verb: string) {
  const who = { actor: actorText(SYSTEM), actorName: SYSTEM.name, result: 'allowed' as const, reason: null };
  return { ...who, verb, resource: null, agentId: null, address: null, requestId: null, details: { count: 1 } };
}

/** For tests: takes a backup to a file. */
export async function saveBackup({ backups, database }: BackupWorld, name = 'test.backup'): Promise<string> {
  const file = database.dir.join(name);
  const { archive } = await backups.take();
  await pipeline(archive, createWriteStream(file));
  return file;
}

/** For tests: an empty database beside the keys of another control plane. */
export async function makeTarget(engine: Engine, { dir }: TestDatabase): Promise<TestDatabase> {
  const target = await makeTestDatabase(engine);
  for (const name of [KEY_FILE, IDENTITY_FILE]) await copyFile(dir.join(name), target.dir.join(name));
  return target;
}

/** For tests: another text of an archive, compressed again. */
export async function alterArchive(file: string, alter: (text: string) => string): Promise<void> {
  await writeFile(file, gzipSync(alter(gunzipSync(await readFile(file)).toString())));
}
