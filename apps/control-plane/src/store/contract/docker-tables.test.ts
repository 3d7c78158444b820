import { expect, it } from 'vitest';
import { sql } from 'kysely';
import { ControlPlaneFixture } from '../../control-plane-fixture.ts';
import { FakeClock } from '@drawbridge/testkit';
import { onEachEngine } from '../test-database-fixture.ts';

const NOW = '2026-01-07T10:00:00.000Z';

// The tables as the requirements of the Docker bridge name them (S2-074..092).
onEachEngine((engine) => {
  it('shows agents under the names of the Docker bridge', async () => {
    await using control = await ControlPlaneFixture.make(new FakeClock(), engine);
    const agentId = await control.addAgent('build-1');
    const { rows } = await sql<Record<string, unknown>>`select * from docker_agents`.execute(control.parts.db);
    expect(rows).toEqual([
      {
        id: agentId,
        agent_id: agentId,
        host_id: null,
        auth_token_hash: '',
        status: 'disconnected',
        version: null,
        capabilities: '[]',
        last_heartbeat: null,
        connected_at: null,
        disconnected_at: null,
        created_at: expect.any(String),
        updated_at: expect.any(String),
      },
    ]);
  });

  it('gives an agent its state and its times when nobody says them', async () => {
    await using control = await ControlPlaneFixture.make(new FakeClock(), engine);
    const { db } = control.parts;
    await sql`insert into agents (agent_id, name, labels, auth_token_hash, capabilities)
      values ('a1', 'by-hand', '{}', 'x', '[]')`.execute(db);
    const row = await db.selectFrom('agents').selectAll().executeTakeFirstOrThrow();
    expect(row).toMatchObject({ status: 'disconnected', epoch: 0 });
    expect(row.created_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(Math.abs(Date.parse(row.updated_at) - new Date().getTime())).toBeLessThan(3_600_000);
  });

  it('reaches a Docker host directly unless it says by an agent, and by nothing else', async () => {
    await using control = await ControlPlaneFixture.make(new FakeClock(), engine);
    const { db } = control.parts;
    const agentId = await control.addAgent('build-1');
    const host = { url: null, created_at: NOW, updated_at: NOW };
    await db
      .insertInto('docker_hosts')
      .values({ ...host, id: 'h1', name: 'one', agent_id: null })
      .execute();
    await db
      .insertInto('docker_hosts')
      .values({ ...host, id: 'h2', name: 'two', connection_mode: 'agent', agent_id: agentId })
      .execute();
    const modes = await db.selectFrom('docker_hosts').select(['name', 'connection_mode']).orderBy('name').execute();
    expect(modes).toEqual([
      { name: 'one', connection_mode: 'direct' },
      { name: 'two', connection_mode: 'agent' },
    ]);
    const other = { ...host, id: 'h3', name: 'three', agent_id: null };
    const byPigeon = sql`insert into docker_hosts (id, name, connection_mode, created_at, updated_at)
      values (${other.id}, ${other.name}, 'pigeon', ${NOW}, ${NOW})`.execute(db);
    await expect(byPigeon).rejects.toMatchObject({ violation: 'check' });
    const ofNobody = db
      .insertInto('docker_hosts')
      .values({ ...other, agent_id: 'nobody' })
      .execute();
    await expect(ofNobody).rejects.toMatchObject({ violation: 'foreign_key' });
    await db.updateTable('agents').set({ host_id: 'h2' }).where('agent_id', '=', agentId).execute();
    const elsewhere = db.updateTable('agents').set({ host_id: 'h9' }).execute();
    await expect(elsewhere).rejects.toMatchObject({ violation: 'foreign_key' });
  });

  it('keeps events with their agent, kind and time, and the indexes they are looked up by', async () => {
    await using control = await ControlPlaneFixture.make(new FakeClock(), engine);
    const { db } = control.parts;
    const event = { id: 'e1', journal_id: 'j1', seq: 1, event_type: 'task.state', event_data: '{}', created_at: NOW };
    const ofNobody = db
      .insertInto('agent_events')
      .values({ ...event, agent_id: 'nobody' })
      .execute();
    await expect(ofNobody).rejects.toMatchObject({ violation: 'foreign_key' });
    const { rows } =
      engine === 'sqlite'
        ? await sql<{ name: string }>`select name from sqlite_master where type = 'index'`.execute(db)
        : await sql<{
            name: string;
          }>`select indexname as name from pg_indexes where schemaname = current_schema()`.execute(db);
    const names = rows.map(({ name }) => name);
    expect(names).toEqual(
      expect.arrayContaining(['idx_agent_status', 'idx_agent_heartbeat', 'idx_agent_events_created']),
    );
  });
});
