import { BULK_TARGET_STATES } from '@drawbridge/protocol/api';
import type { BulkRunView, BulkTargetState, BulkTargetView } from '@drawbridge/protocol/api';
import { expect, it } from 'vitest';
import { bulkTable, countsLine, exitCodeOfRun } from './bulk-table.ts';

function run(state: BulkRunView['state'], counts: Partial<Record<BulkTargetState, number>>): BulkRunView {
  const zeros = Object.fromEntries(BULK_TARGET_STATES.map((name) => [name, 0]));
  return {
    id: 'r1',
    state,
    group: null,
    selector: '',
    operation: 'agent.ping',
    provider: null,
    mode: null,
    model: null,
    timeout_seconds: 60,
    queue_if_offline: false,
    ttl_seconds: 60,
    concurrency: 10,
    failures_max: null,
    created_by: 'user:u1',
    created_at: '',
    ended_at: null,
    targets: { ...zeros, ...counts } as BulkRunView['targets'],
  };
}

function target(position: number, state: BulkTargetState, message?: string): BulkTargetView {
  return {
    position,
    agent_id: `id-${position}`,
    agent_name: `agent-${position}`,
    state,
    command_id: null,
    task_id: null,
    error: message === undefined ? null : { code: 'agent_error', message },
    started_at: null,
    ended_at: null,
  };
}

it('counts what has ended, and how', () => {
  expect(countsLine(run('running', { waiting: 4, started: 5, failed: 1, timed_out: 2 }))).toBe(
    'running: 3 of 12 ended: 2 timed out, 1 failed',
  );
});

it('shows all targets in their order where there is room', () => {
  const text = bulkTable(run('running', { waiting: 1, started: 1 }), [target(0, 'waiting'), target(1, 'started')], 4);
  expect(text.split('\n').map((line) => line.split(' ')[0])).toEqual(['AGENT', 'agent-0', 'agent-1', 'running:', '']);
});

it('is no higher than it may be, and shows first what runs and what failed', () => {
  const targets = [target(0, 'succeeded'), target(1, 'waiting'), target(2, 'failed'), target(3, 'started')];
  const text = bulkTable(run('running', {}), targets, 5);
  expect(text.split('\n').map((line) => line.split(' ')[0])).toEqual([
    'AGENT',
    'agent-3',
    'agent-2',
    '…',
    'running:',
    '',
  ]);
});

it('makes plain what an agent says', () => {
  expect(bulkTable(run('failed', {}), [target(0, 'failed', 'a\u001b[2Jb')])).toContain('ab (agent_error)');
});

it.each([
  ['succeeded', { succeeded: 2 }, 0],
  ['failed', { succeeded: 1, failed: 1, indeterminate: 1 }, 1],
  ['failed', { refused: 1 }, 1],
  ['stopped', { timed_out: 1, skipped: 1 }, 1],
  ['failed', { indeterminate: 1, timed_out: 1 }, 8],
  ['failed', { timed_out: 1, expired: 1 }, 7],
  ['cancelled', { cancelled: 1 }, 130],
] as const)('ends a run that %s with %j with %i', (state, counts, code) => {
  expect(exitCodeOfRun(run(state, counts))).toBe(code);
});
