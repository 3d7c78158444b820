import { memoryLog } from '@drawbridge/runtime/testing';
import { expect, it } from 'vitest';
import { ADMIN } from '../control-plane-fixture.ts';
import type { AuditEntry } from '../audit/audit-entry.ts';
import { LeaseActivity } from './lease-activity.ts';
import type { Lease } from './lease.ts';

it('records so many refusals of one address, and no more', () => {
  const recorded: AuditEntry[] = [];
  const asked: string[] = [];
  const activity = new LeaseActivity({
    audit: { record: async (entry) => void recorded.push(entry) },
    publish: () => undefined,
    log: memoryLog().log,
    refusals: { spend: (key) => (asked.push(key), asked.length <= 2) },
  });
  for (let times = 0; times < 5; times += 1)
    activity.refused({ agentId: 'a', tunnelId: 't' }, 'agent', {
      address: '::ffff:192.0.2.1',
      code: 'auth_failed',
      by: undefined,
    });
  expect(asked).toEqual(Array.from({ length: 5 }, () => '192.0.2.1'));
  expect(recorded).toHaveLength(2);
  expect(recorded[0]).toMatchObject({
    verb: 'tunnel.attach',
    result: 'denied',
    actor: 'agent:a',
    reason: 'auth_failed',
  });
});

it('tells a request that its end cannot be recorded, and nobody else', async () => {
  const log = memoryLog();
  const activity = new LeaseActivity({
    audit: { record: () => Promise.reject(new Error('no disk')) },
    publish: () => undefined,
    log: log.log,
    refusals: { spend: () => true },
  });
  const lease = { tunnelId: 't', agentId: 'a', legs: {} } as unknown as Lease;
  const end = { code: 1, reason: 'enough' } as const;
  await activity.ended(lease, end, ADMIN);
  await activity.ended(lease, end, 'system');
  const request = { kind: 'request', id: 'r', address: '192.0.2.1', actor: ADMIN } as const;
  await expect(activity.ended(lease, end, request)).rejects.toThrow('no disk');
  expect(log.lines.filter(({ msg }) => msg === 'activity of a tunnel is not recorded')).toHaveLength(3);
});
