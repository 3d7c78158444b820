import { expect, it } from 'vitest';
import { LeasesRepository } from '../leases-repository.ts';
import type { LeaseRow } from '../leases-repository.ts';
import { AgentsRepository } from '../agents-repository.ts';
import { newAgentRow } from '../../agents/new-agent-row.ts';
import { MIGRATIONS } from '../migrations/index.ts';
import { migrate } from '../migrator.ts';
import type { Schema } from '../schema.ts';
import { onEachEngine } from '../test-database-fixture.ts';
import { openEmptyStore } from './open-store-fixture.ts';

const AT = '2026-01-07T10:00:00.000Z';

const lease = (tunnelId: string, more: Partial<LeaseRow> = {}): LeaseRow => ({
  tunnel_id: tunnelId,
  agent_id: 'dev',
  assigned_port: 30_000,
  protocol: 'ssh',
  domain: 'ssh',
  target: null,
  metadata: '{}',
  operator_id: 'user:u1',
  operator_name: 'Zoë',
  state: 'pending',
  epoch: 0,
  idle_timeout: 0.5,
  grace_timeout: 3600,
  created_at: AT,
  expires_at: AT,
  last_activity_at: AT,
  grace_since: null,
  bytes_up: 0,
  bytes_down: 0,
  close_code: null,
  close_reason: null,
  ended_at: null,
  ...more,
});

const closed = (endedAt = AT) => ({ state: 'closed', close_code: 0, close_reason: 'done', ended_at: endedAt }) as const;

onEachEngine((engine) => {
  async function open() {
    const opened = await openEmptyStore<Schema>(engine);
    await migrate(opened.db, MIGRATIONS, opened.clock);
    for (const env of ['dev', 'prod']) {
      const row = newAgentRow({ agentId: env, name: env, labels: { env }, now: AT });
      await opened.db.transaction().execute((trx) => new AgentsRepository(trx).insert({ ...row, auth_token_hash: '' }));
    }
    return opened;
  }

  it('keeps every field of a lease as it was given', async () => {
    await using opened = await open();
    const leases = new LeasesRepository(opened.db);
    const full = lease('t1', {
      target: '{"unix":"/run/x.sock"}',
      metadata: '{"note":"ü"}',
      grace_since: AT,
      bytes_up: Number.MAX_SAFE_INTEGER,
      epoch: 2_000_000_000,
    });
    await leases.insert(full);
    expect(await leases.find('t1')).toEqual(full);
    expect(await leases.find('t2')).toBeUndefined();
  });

  it('changes a lease until it has ended, and never after', async () => {
    await using opened = await open();
    const leases = new LeasesRepository(opened.db);
    await leases.insert(lease('t1'));
    await leases.insert(lease('t2'));
    expect(await leases.update('t1', { state: 'active' })).toBe(true);
    expect(await leases.update('t1', closed())).toBe(true);
    expect(await leases.update('t1', { state: 'active', ended_at: null })).toBe(false);
    expect(await leases.update('nobody', { state: 'active' })).toBe(false);
    expect(await leases.find('t1')).toMatchObject({ state: 'closed', ended_at: AT });
    expect((await leases.unended()).map(({ tunnel_id: tunnelId }) => tunnelId)).toEqual(['t2']);
  });

  it('lists what has ended by id, page by page, of the agents that are wanted', async () => {
    await using opened = await open();
    const leases = new LeasesRepository(opened.db);
    for (const id of ['t1', 't2', 't3']) await leases.insert(lease(id, closed()));
    await leases.insert(lease('t4', { ...closed(), agent_id: 'prod', state: 'expired' }));
    await leases.insert(lease('t5'));
    const list = async (more: Partial<Parameters<LeasesRepository['listEnded']>[1]> = {}, cursor = '', limit = 10) => {
      const rows = await leases.listEnded(
        { limit, cursor },
        { agentId: undefined, state: undefined, labels: [[]], ...more },
      );
      return rows.map(({ tunnel_id: tunnelId }) => tunnelId);
    };
    expect(await list()).toEqual(['t1', 't2', 't3', 't4']);
    expect(await list({}, 't1', 2)).toEqual(['t2', 't3']);
    expect(await list({ agentId: 'prod' })).toEqual(['t4']);
    expect(await list({ state: 'expired' })).toEqual(['t4']);
    expect(await list({ labels: [[{ kind: 'equals', key: 'env', value: 'dev' }]] })).toEqual(['t1', 't2', 't3']);
    expect(await list({ labels: [] })).toEqual([]);
  });

  it('forgets what ended before a time, and nothing else', async () => {
    await using opened = await open();
    const leases = new LeasesRepository(opened.db);
    await leases.insert(lease('t1', closed('2026-01-07T09:59:59.999Z')));
    await leases.insert(lease('t2', closed()));
    await leases.insert(lease('t3'));
    expect(await leases.deleteEndedBefore(AT)).toBe(1);
    expect(await leases.find('t1')).toBeUndefined();
    expect(await leases.find('t2')).toBeDefined();
  });
});
