import { execFileSync } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { FakeClock, TempDir, requires } from '@drawbridge/testkit';
import { memoryLog } from '@drawbridge/runtime/testing';
import { Kysely } from 'kysely';
import { type TestContext, expect, it } from 'vitest';
import { ServerIdentity } from '../identity/server-identity.ts';
import { MIGRATIONS } from '../store/migrations/index.ts';
import { migrate } from '../store/migrator.ts';
import type { Schema } from '../store/schema.ts';
import { openSqlite } from '../store/sqlite/open-sqlite.ts';
import { entry } from './audit-fixture.ts';
import { AuditLog } from './audit-log.ts';

const FILLER_BYTES = 256 * 1024;

/** A file system of 2 MiB, or a skip where this process may not mount one. */
function mountTiny(path: string, { skip }: TestContext): Disposable {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', path], { stdio: 'pipe' });
  } catch (error) {
    if (process.env['DRAWBRIDGE_REQUIRE'] === 'all') throw error;
    skip('needs the right to mount a tmpfs');
  }
  return { [Symbol.dispose]: () => void execFileSync('umount', [path]) };
}

it.runIf(requires('linux', 'root'))('refuses records on a full disk, whole, and goes on with room', async (context) => {
  await using directory = await TempDir.make();
  await using disk = await TempDir.make();
  using _mounted = mountTiny(disk.path, context);
  const filler = disk.join('filler');
  await writeFile(filler, Buffer.alloc(FILLER_BYTES));
  const clock = new FakeClock();
  await using store = await openSqlite({ path: disk.join('store.db'), clock });
  const db = new Kysely<Schema>({ dialect: store.dialect });
  await migrate(db, MIGRATIONS, clock);
  const identity = await ServerIdentity.load(directory.join('server-identity.json'));
  const audit = new AuditLog({ db, identity, clock, log: memoryLog().log, retentionDays: 30 });

  let kept = 0;
  let refused: PromiseSettledResult<void>[] = [];
  while (refused.length === 0) {
    const told = Array.from({ length: 50 }, () => audit.record(entry({ reason: 'because '.repeat(50) })));
    const outcomes = await Promise.allSettled(told);
    refused = outcomes.filter(({ status }) => status === 'rejected');
    kept += outcomes.length - refused.length;
  }
  for (const outcome of refused) expect(outcome).toMatchObject({ reason: { code: 'store_unavailable' } });
  expect(refused).toHaveLength(50);
  expect(await audit.verify()).toMatchObject({ ok: true, records: kept, last: kept });

  await rm(filler);
  await audit.record(entry());
  expect(await audit.verify()).toMatchObject({ ok: true, records: kept + 1 });
});
