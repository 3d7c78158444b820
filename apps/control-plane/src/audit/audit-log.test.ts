import { GENESIS_HASH } from '@drawbridge/protocol';
import { eventually, settle } from '@drawbridge/testkit';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { AuditRepository } from '../store/audit-repository.ts';
import { onEachEngine } from '../store/test-database-fixture.ts';
import { AuditFixture, entry } from './audit-fixture.ts';
import { AUDIT_LIMITS } from './limits.ts';

onEachEngine((engine) => {
  let audit: AuditFixture;
  beforeEach(async () => {
    audit = await AuditFixture.make(engine);
  });
  afterEach(() => audit[Symbol.asyncDispose]());

  const checkpoints = () => audit.db.selectFrom('audit_checkpoints').selectAll().orderBy('seq').execute();
  const announced = () => audit.lines.filter(({ msg }) => msg === 'audit checkpoint');

  it('keeps who did what, to what, from where, and how it ended', async () => {
    const told = entry({ result: 'denied', reason: 'the role viewer has no task.run', details: { role: 'viewer' } });
    await audit.log.record(told);
    const { records } = await audit.log.list({ filter: {}, limit: 10 });
    expect(records).toEqual([
      {
        seq: 1,
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        at: new Date(audit.clock.now()).toISOString(),
        actor: 'user:u1',
        actor_name: 'ada',
        verb: 'agent.read',
        resource: 'agent:a1',
        agent_id: 'a1',
        address: '192.0.2.7',
        request_id: 'r1',
        result: 'denied',
        reason: 'the role viewer has no task.run',
        details: { role: 'viewer' },
        previous_hash: GENESIS_HASH,
        hash: expect.stringMatching(/^[0-9a-f]{64}$/),
      },
    ]);
  });

  it('gives a thousand records at once numbers without a gap, in the order in which they were told', async () => {
    const before = audit.store.stats().commits;
    await Promise.all(
      Array.from({ length: 1_000 }, (_, index) => audit.log.record(entry({ details: { count: index + 1 } }))),
    );
    const { records } = await audit.log.list({ filter: {}, limit: 1_000 });
    expect(records.map(({ seq }) => seq)).toEqual(Array.from({ length: 1_000 }, (_, index) => 1_000 - index));
    expect(records.every(({ seq, details }) => details['count'] === seq)).toBe(true);
    // They shared transactions.
    expect(audit.store.stats().commits - before).toBeLessThanOrEqual(3);
    expect(await audit.log.verify()).toMatchObject({ ok: true, records: 1_000 });
  });

  it('continues one chain when two control planes write to one store', async () => {
    const other = audit.newLog();
    await Promise.all(Array.from({ length: 200 }, (_, index) => (index % 2 === 0 ? audit.log : other).record(entry())));
    expect(await audit.log.verify()).toMatchObject({ ok: true, records: 200, first: 1, last: 200 });
    expect(await other.verify()).toMatchObject({ ok: true });
  });

  it('continues the chain after a restart', async () => {
    await audit.fill(3);
    await audit.restart();
    await audit.fill(2);
    expect(await audit.log.verify()).toMatchObject({ ok: true, records: 5, first: 1, last: 5 });
  });

  it('keeps none of a transaction that failed, says so to each, and goes on', async () => {
    await audit.fill(1);
    // Stands where the third record wants to be.
    await new AuditRepository(audit.db).insertRecords([rowAt(3)]);
    const outcomes = await Promise.allSettled([
      audit.log.record(entry()),
      audit.log.record(entry()),
      audit.log.record(entry()),
    ]);
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'store_unavailable' } });
    }
    expect(await audit.seqs()).toEqual([1, 3]);
    await audit.db.deleteFrom('audit_records').where('seq', '=', 3).execute();
    await audit.fill(2);
    expect(await audit.log.verify()).toMatchObject({ ok: true, records: 3 });
  });

  it('refuses with store_unavailable when its store is gone', async () => {
    await audit.fill(2);
    await audit.store.close();
    await expect(audit.log.record(entry())).rejects.toMatchObject({ code: 'store_unavailable' });
    await audit.restart();
    expect(await audit.seqs()).toEqual([1, 2]);
  });

  it('refuses one record more than may wait, and keeps the others', async () => {
    const waiting = Array.from({ length: AUDIT_LIMITS.recordsWaitingMax }, () => audit.log.record(entry()));
    await expect(audit.log.record(entry())).rejects.toMatchObject({ code: 'store_unavailable' });
    await Promise.all(waiting);
    expect(await audit.log.verify()).toMatchObject({ ok: true, records: AUDIT_LIMITS.recordsWaitingMax });
  });

  it('signs what is new once a minute, and tells the log', async () => {
    using stop = stopping();
    // Before it looks for the first time, which may take as long as writing one of them.
    await audit.fill(2);
    const running = audit.log.run(stop.signal);
    await nextRound();
    const [first] = await eventually(checkpoints, { what: 'a checkpoint', until: (rows) => rows.length === 1 });
    expect(first).toMatchObject({ seq: 2, count: 2 });
    const words = await eventually(announced, { what: 'a word of it', until: (all) => all.length === 1 });
    expect(words).toMatchObject([{ level: 'info', seq: 2, hash: first?.hash }]);
    await nextRound();
    await audit.fill(1);
    await nextRound();
    const rows = await eventually(checkpoints, { what: 'the next one', until: (all) => all.length === 2 });
    expect(rows[1]).toMatchObject({ seq: 3, count: 1 });
    stop.abort();
    await running;
    expect(audit.clock.pending).toBe(0);
  });

  it('signs at once when many records are unsigned', async () => {
    await Promise.all(Array.from({ length: AUDIT_LIMITS.recordsPerCheckpointMax }, () => audit.log.record(entry())));
    expect(await checkpoints()).toMatchObject([{ seq: AUDIT_LIMITS.recordsPerCheckpointMax }]);
    expect(announced()).toHaveLength(1);
  });

  it('writes what was told before it was disposed, signs the end, and takes no more', async () => {
    const told = audit.log.record(entry());
    await audit.log[Symbol.asyncDispose]();
    await told;
    expect(await checkpoints()).toMatchObject([{ seq: 1, count: 1 }]);
    await expect(audit.log.record(entry())).rejects.toMatchObject({ code: 'store_unavailable' });
    await audit.log[Symbol.asyncDispose]();
    expect(await checkpoints()).toHaveLength(1);
  });

  it('refuses a walk while as many as may be are under way', async () => {
    await audit.fill(3);
    const walks = Array.from({ length: AUDIT_LIMITS.walksMax }, () => audit.log.verify());
    await expect(audit.log.verify()).rejects.toMatchObject({ code: 'rate_limited' });
    expect(await Promise.all(walks)).toMatchObject([{ ok: true }, { ok: true }]);
    expect(await audit.log.verify()).toMatchObject({ ok: true });
  });

  /** The loop sleeps; a minute later it has had its turn. */
  async function nextRound(): Promise<void> {
    await eventually(() => audit.clock.pending === 1, { what: 'the loop to sleep' });
    await audit.clock.advance(AUDIT_LIMITS.checkpointIntervalMs);
    await settle();
  }
});

function stopping(): Disposable & AbortController {
  const controller = new AbortController();
  return Object.assign(controller, { [Symbol.dispose]: () => controller.abort() });
}

function rowAt(seq: number) {
  const hash = GENESIS_HASH;
  const who = { actor: 'x', actor_name: null, verb: 'x', resource: null, agent_id: null, address: null };
  const rest = { request_id: null, result: 'allowed', reason: null, details: '{}', previous_hash: hash, hash };
  return { seq, id: 'x', at: '2026-01-01T00:00:00.000Z', ...who, ...rest };
}
