import { eventually } from '@drawbridge/testkit';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { AuditFixture, entry } from './audit-fixture.ts';
import { AUDIT_LIMITS } from './limits.ts';
import { readStored, verifyTampered, writeStored } from './tampering-fixture.ts';

const DAY_MS = 86_400_000;
const AT = '2026-01-01T00:00:00.000Z';

let audit: AuditFixture;
beforeEach(async () => {
  audit = await AuditFixture.make();
});
afterEach(() => audit[Symbol.asyncDispose]());

/** Ten old records, checkpoints at 4 and 8, and five new ones. */
async function oldAndNew(): Promise<void> {
  await audit.fill(10, 4);
  await audit.clock.advance((audit.retentionDays + 1) * DAY_MS);
  await audit.fill(5);
}

it('deletes whole stretches of old records before a checkpoint, and records that', async () => {
  await oldAndNew();
  expect(await audit.log.sweep()).toBe(8);
  expect(await audit.seqs()).toEqual([9, 10, 11, 12, 13, 14, 15, 16]);
  const { records } = await audit.log.list({ filter: { verb: 'audit.sweep' }, limit: 10 });
  expect(records).toMatchObject([{ seq: 16, actor: 'system:system', details: { through_seq: 8, records: 8 } }]);
});

it('leaves a chain that verifies, now and after more of both', async () => {
  await oldAndNew();
  await audit.log.sweep();
  expect(await audit.log.verify()).toMatchObject({ ok: true, first: 9, last: 16, checkpoints: 1 });
  await audit.fill(4, 2);
  expect(await audit.log.verify()).toMatchObject({ ok: true, first: 9, last: 20 });
  await audit.clock.advance((audit.retentionDays + 1) * DAY_MS);
  await audit.log.checkpoint();
  expect(await audit.log.sweep()).toBe(12);
  expect(await audit.log.verify()).toMatchObject({ ok: true, first: 21, last: 21, checkpoints: 1, records: 1 });
});

it('deletes nothing that is new, and nothing that is not signed', async () => {
  await audit.fill(10, 4);
  expect(await audit.log.sweep()).toBe(0);
  await audit.clock.advance((audit.retentionDays + 1) * DAY_MS);
  expect(await audit.log.sweep()).toBe(8);
  expect(await audit.log.sweep()).toBe(0);
  expect(await audit.seqs()).toEqual([9, 10, 11]);
});

it('takes large logs in several transactions', async () => {
  const rounds = 3;
  for (let round = 0; round < rounds; round += 1) {
    await Promise.all(Array.from({ length: AUDIT_LIMITS.sweepRecordsMax - 1_000 }, () => audit.log.record(entry())));
    await audit.log.checkpoint();
  }
  await audit.clock.advance((audit.retentionDays + 1) * DAY_MS);
  expect(await audit.log.sweep()).toBe(rounds * (AUDIT_LIMITS.sweepRecordsMax - 1_000));
  expect(await audit.log.verify()).toMatchObject({ ok: true });
});

it('touches nothing when its checkpoint does not hold', async () => {
  await oldAndNew();
  const intact = await readStored(audit);
  await verifyTampered(audit, intact, (stored) => {
    for (const row of stored.checkpoints) row.at = AT;
  });
  await expect(audit.log.sweep()).rejects.toMatchObject({ code: 'conflict' });
  await verifyTampered(audit, intact, (stored) => {
    for (const row of stored.records) row.hash = 'ab'.repeat(32);
  });
  await expect(audit.log.sweep()).rejects.toMatchObject({ code: 'conflict' });
  await writeStored(audit, intact);
  expect(await audit.log.sweep()).toBe(8);
});

it('finds records that somebody else has deleted before a checkpoint', async () => {
  await oldAndNew();
  await audit.log.checkpoint();
  await audit.log.sweep();
  const report = await verifyTampered(audit, await readStored(audit), (stored) => {
    stored.records = stored.records.filter(({ seq }) => seq > 15);
    stored.checkpoints = stored.checkpoints.filter(({ seq }) => seq >= 15);
  });
  expect(report.problems).toMatchObject([{ seq: 15, kind: 'removed' }]);
});

it('says of an anchor that was swept that it cannot tell', async () => {
  await oldAndNew();
  const { records } = await readStored(audit);
  await audit.log.sweep();
  const anchors = records.filter(({ seq }) => seq === 3 || seq === 12).map(({ seq, hash }) => ({ seq, hash }));
  expect(await audit.log.verify(anchors)).toMatchObject({ problems: [{ seq: 3, kind: 'anchor_unknown' }] });
});

it('lets a process that has written nothing since verify what is left', async () => {
  await audit.fill(4, 4);
  const other = audit.newLog();
  await other.record(entry());
  await other.checkpoint();
  await audit.clock.advance((audit.retentionDays + 1) * DAY_MS);
  expect(await other.sweep()).toBe(5);
  expect(await audit.log.verify()).toMatchObject({ ok: true, first: 6 });
});

it('is part of the loop, and comes once an hour', async () => {
  await oldAndNew();
  const stop = new AbortController();
  const running = audit.log.run(stop.signal);
  await eventually(() => audit.seqs(), { what: 'the sweep', until: ([first]) => first === 9 });
  stop.abort();
  await running;
  expect(audit.clock.pending).toBe(0);
});

it('waits while somebody walks along the chain', async () => {
  await oldAndNew();
  const lines = audit.log.export();
  await lines.next();
  expect(await audit.log.sweep()).toBe(0);
  await lines.return(undefined);
  expect(await audit.log.sweep()).toBeGreaterThan(0);
});
