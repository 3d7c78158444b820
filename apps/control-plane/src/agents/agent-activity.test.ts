import { memoryLog } from '@drawbridge/runtime/testing';
import { FakeClock, eventually } from '@drawbridge/testkit';
import { beforeEach, expect, it } from 'vitest';
import type { AuditEntry } from '../audit/audit-entry.ts';
import { loadServerConfig } from '../config.ts';
import type { NewEvent } from '../events/event-feed.ts';
import { rateLimits } from '../limits/rate-limits.ts';
import { AgentActivity } from './agent-activity.ts';

const { log, lines } = memoryLog();

let recorded: AuditEntry[];
let published: NewEvent[];
let activity: AgentActivity;
beforeEach(() => {
  recorded = [];
  published = [];
  const audit = { record: async (entry: AuditEntry) => void recorded.push(entry) };
  activity = new AgentActivity({
    audit,
    publish: (event) => void published.push(event),
    log,
    refusals: { spend: () => true },
  });
});

it('records a connection and its end, with the reason', () => {
  activity.connected({ agentId: 'a1', epoch: 3, version: '0.1.0', address: '192.0.2.1' });
  activity.disconnected({ agentId: 'a1', epoch: 3, code: 4408, reason: 'silent for too long' });
  expect(recorded).toMatchObject([
    { actor: 'agent:a1', verb: 'agent.connect', agentId: 'a1', address: '192.0.2.1', result: 'allowed' },
    { verb: 'agent.disconnect', reason: 'silent for too long', details: { epoch: 3, close_code: 4408 } },
  ]);
});

it('records who was turned away, and why', () => {
  activity.refused({ agentId: 'a1', address: '192.0.2.9', code: 'auth_failed' });
  expect(recorded).toMatchObject([
    { verb: 'agent.connect', result: 'denied', reason: 'auth_failed', address: '192.0.2.9' },
  ]);
});

it('records so many refusals of one address, however many agents it names', async () => {
  const audit = { record: async (entry: AuditEntry) => void recorded.push(entry) };
  const clock = new FakeClock();
  const { refusals } = rateLimits(loadServerConfig({ env: {} }).limits, clock);
  activity = new AgentActivity({ audit, publish: () => undefined, log, refusals });
  for (let n = 0; n < 100; n += 1) activity.refused({ agentId: `a${n}`, address: '192.0.2.9', code: 'auth_failed' });
  expect(recorded).toHaveLength(30);
  activity.refused({ agentId: 'a1', address: '192.0.2.10', code: 'auth_failed' });
  await clock.advance(2_000);
  activity.refused({ agentId: 'a1', address: '192.0.2.9', code: 'auth_failed' });
  expect(recorded).toHaveLength(32);
});

it('records tunnels from their beginning to the reason of their end', () => {
  activity.tunnelOpened('a1', 't1');
  activity.tunnelClosed('a1', 't1', 'no channel for five minutes');
  expect(recorded).toMatchObject([
    { verb: 'tunnel.open', details: { tunnel_id: 't1' } },
    { verb: 'tunnel.close', reason: 'no channel for five minutes', details: { tunnel_id: 't1' } },
  ]);
});

it('tells who follows events of tunnels at once, and of what is recorded once it is', async () => {
  activity.tunnelClosed('a1', 't1', 'idle');
  expect(published).toMatchObject([{ type: 'tunnel.closed', resource: 'tunnel:t1', data: { reason: 'idle' } }]);
  await eventually(() => published, { what: 'the record to be told', until: (all) => all.length === 2 });
  expect(published[1]).toMatchObject({ type: 'activity.recorded', agentId: 'a1', data: { verb: 'tunnel.close' } });
});

it('keeps nobody out when a record cannot be written, and says so in the log', async () => {
  const audit = { record: () => Promise.reject(new Error('full')) };
  activity = new AgentActivity({
    audit,
    publish: (event) => void published.push(event),
    log,
    refusals: { spend: () => true },
  });
  activity.connected({ agentId: 'a2', epoch: 1, version: '0.1.0', address: '192.0.2.1' });
  await eventually(() => lines.find(({ agentId }) => agentId === 'a2'), { what: 'a line about the failure' });
  expect(published).toEqual([]);
});
