import { Kysely, sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import { nowDefault } from '../migrations/column-types.ts';
import { MIGRATIONS } from '../migrations/index.ts';
import { migrate, pendingMigrations } from '../migrator.ts';
import { openStore } from '../open-store.ts';
import { onEachEngine } from '../test-database-fixture.ts';
import { openEmptyStore } from './open-store-fixture.ts';

const AT = '2026-01-07T10:00:00.000Z';

/** Rows as the first version wrote them. */
async function putRows(db: Kysely<unknown>): Promise<void> {
  const bytes = Uint8Array.of(0, 1, 255);
  await sql`insert into agents (agent_id, name, labels, auth_token_hash, capabilities, created_at, updated_at)
    values ('agent-1', 'build-1', '{"site":"lab"}', 'hash', '[]', ${AT}, ${AT})`.execute(db);
  await sql`insert into join_tokens (id, secret_hash, labels, uses_left, uses_max, created_by, created_at, expires_at)
    values ('join-1', 'hash', '{}', 1, 1, 'token:admin', ${AT}, ${AT})`.execute(db);
  await sql`insert into api_tokens (id, name, secret_hash, created_at) values ('token-1', 'admin', 'hash', ${AT})`.execute(
    db,
  );
  await sql`insert into agent_journals values ('agent-1', 'journal-1', 7, ${AT})`.execute(db);
  await sql`insert into agent_events values ('event-1', 'agent-1', 'journal-1', 7, 'warning', '{}', ${AT})`.execute(db);
  await sql`insert into commands (id, agent_id, operation, state, content, queue_if_offline, timeout_seconds, created_by,
      created_at, expires_at)
    values ('command-1', 'agent-1', 'task.start', 'queued', ${bytes}, 1, 60, 'token:admin', ${AT}, ${AT})`.execute(db);
  await sql`insert into tasks (id, command_id, agent_id, provider, state, instructions_bytes, instructions_sha256,
      timeout_seconds, created_by, request_sha256, created_at)
    values ('task-1', 'command-1', 'agent-1', 'shell', 'queued', 4, 'sha', 60, 'token:admin', 'sha', ${AT})`.execute(
    db,
  );
}

async function rowOf(db: Kysely<unknown>, table: string): Promise<unknown> {
  const { rows } = await sql`select * from ${sql.table(table)}`.execute(db);
  expect(rows).toHaveLength(1);
  return rows[0];
}

onEachEngine((engine) => {
  describe.each(MIGRATIONS.map(({ name }, index) => ({ name, count: index + 1 })))('from $name', ({ count }) => {
    it('upgrades a database with rows in it, and keeps them', async () => {
      await using test = await openEmptyStore<unknown>(engine);
      const { db, clock, database } = test;
      await migrate(db, MIGRATIONS.slice(0, 1), clock);
      await putRows(db);
      await migrate(db, MIGRATIONS.slice(0, count), clock);
      await test.store.close();

      await using store = await openStore(database.location, database.dir.path, clock);
      const later = new Kysely<unknown>({ dialect: store.dialect });
      const missing = MIGRATIONS.slice(count).map(({ name }) => name);
      expect(await pendingMigrations(later, MIGRATIONS)).toEqual(missing);
      expect(await migrate(later, MIGRATIONS, clock)).toEqual(missing);
      expect(await pendingMigrations(later, MIGRATIONS)).toEqual([]);

      expect(await rowOf(later, 'agents')).toMatchObject({ agent_id: 'agent-1', name: 'build-1', epoch: 0 });
      expect(await rowOf(later, 'join_tokens')).toMatchObject({ id: 'join-1', uses_left: 1 });
      expect(await rowOf(later, 'api_tokens')).toMatchObject({ id: 'token-1', secret_hash: 'hash' });
      expect(await rowOf(later, 'agent_journals')).toMatchObject({ last_event_seq: 7 });
      expect(await rowOf(later, 'agent_events')).toMatchObject({ seq: 7, created_at: AT });
      expect(await rowOf(later, 'commands')).toMatchObject({ state: 'queued', content: Uint8Array.of(0, 1, 255) });
      expect(await rowOf(later, 'tasks')).toMatchObject({ state: 'queued', instructions_bytes: 4, exit_code: null });
    });
  });

  it('runs each migration once when several start at once', async () => {
    await using test = await openEmptyStore<unknown>(engine);
    const runs = await Promise.all(Array.from({ length: 5 }, () => migrate(test.db, MIGRATIONS, test.clock)));
    expect(runs.flat().toSorted()).toEqual(MIGRATIONS.map(({ name }) => name));
  });

  it('leaves nothing of a migration that fails', async () => {
    await using test = await openEmptyStore<unknown>(engine);
    const fails = {
      name: '9999-fails',
      async up(db: Kysely<unknown>) {
        await sql`create table half_done (id integer)`.execute(db);
        await sql`insert into nowhere values (1)`.execute(db);
      },
    };
    await expect(migrate(test.db, [...MIGRATIONS, fails], test.clock)).rejects.toThrow('migration 9999-fails failed');
    await expect(sql`select * from half_done`.execute(test.db)).rejects.toMatchObject({ name: 'StatementError' });
    expect(await migrate(test.db, MIGRATIONS, test.clock)).toEqual([]);
  });

  it('lets the database write its own time as everybody else does', async () => {
    await using test = await openEmptyStore<{ times: { id: number; at: string } }>(engine);
    const db = test.db as unknown as Kysely<unknown>;
    await db.schema
      .createTable('times')
      .addColumn('id', 'integer')
      .addColumn('at', 'varchar(24)', (column) => column.notNull().defaultTo(nowDefault(db)))
      .execute();
    await sql`insert into times (id) values (1)`.execute(db);
    const { at } = await test.db.selectFrom('times').select('at').executeTakeFirstOrThrow();
    expect(new Date(at).toISOString()).toBe(at);
    expect(Math.abs(Date.parse(at) - Date.now())).toBeLessThan(60_000);
  });
});
