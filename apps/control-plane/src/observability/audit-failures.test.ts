import { expect, it } from 'vitest';
import { AuditLog } from '../audit/audit-log.ts';
import { ControlPlaneFixture } from '../control-plane-fixture.ts';
import { ServerIdentity } from '../identity/server-identity.ts';
import { seriesOf } from './observability-fixture.ts';

it('counts the audit records that could not be written', async () => {
  await using control = await ControlPlaneFixture.make();
  const { db, log, metrics, store } = control.parts;
  const identity = await ServerIdentity.load(control.dir.join('server-identity.json'));
  const audit = new AuditLog({ db, identity, clock: control.clock, log, retentionDays: 1, metrics });
  const who = { actor: 'user:u1', actorName: null, verb: 'task.run', resource: null, agentId: null, address: null };
  const entry = { ...who, requestId: null, result: 'allowed', reason: null, details: {} } as const;
  const failures = async () => (await seriesOf(metrics.registry)).get('drawbridge_audit_failures_total');
  await audit.record(entry);
  expect(await failures()).toBe(0);
  await store.close();
  await expect(audit.record(entry)).rejects.toMatchObject({ code: 'store_unavailable' });
  expect(await failures()).toBe(1);
});
