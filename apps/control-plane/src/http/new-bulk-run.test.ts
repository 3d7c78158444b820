import { ControlError, LIMITS } from '@drawbridge/protocol';
import type { GroupView } from '@drawbridge/protocol/api';
import { expect, it } from 'vitest';
import { NewBulkRunBody, wantedOf } from './new-bulk-run.ts';

const GROUP: GroupView = {
  id: 'g1',
  name: 'lab',
  selector: 'site=lab',
  description: '',
  created_at: '2026-01-07T10:00:00.000Z',
  updated_at: '2026-01-07T10:00:00.000Z',
};
const TASK = { provider: 'shell', instructions: 'true' };

function wanted(body: Record<string, unknown>, group?: GroupView) {
  return wantedOf(NewBulkRunBody.parse(body), { group, timeoutSecondsDefault: 77 });
}

it.each([
  [
    'a group',
    { group: 'lab', ...TASK },
    GROUP,
    { groupName: 'lab', choice: { kind: 'selector', selector: 'site=lab' } },
  ],
  ['a selector', { selector: ' a=b , !c', ...TASK }, undefined, { choice: { kind: 'selector', selector: 'a=b,!c' } }],
  ['every agent', { selector: '', ...TASK }, undefined, { choice: { kind: 'selector', selector: '' } }],
  ['agents', { agent_ids: ['x', 'y'], ...TASK }, undefined, { choice: { kind: 'agents', agents: ['x', 'y'] } }],
])('takes %s', (_what, body, group, expected) => {
  expect(wanted(body, group)).toMatchObject(expected);
});

it('takes a task, with the time limit of tasks', () => {
  expect(wanted({ selector: '', ...TASK })).toMatchObject({
    operation: 'task.start',
    provider: 'shell',
    content: { instructions: 'true' },
    timeoutSeconds: LIMITS.taskTimeoutSecondsDefault,
    concurrency: 10,
    failuresMax: null,
  });
});

it('takes an operation, with the time limit of commands', () => {
  expect(wanted({ selector: '', operation: 'agent.ping', params: { echo: 'x' } })).toMatchObject({
    operation: 'agent.ping',
    provider: null,
    content: { params: { echo: 'x' } },
    timeoutSeconds: 77,
  });
});

it.each([
  [{ stop_on_failure: true }, 0],
  [{ stop_on_failure: false }, null],
  [{ failures_max: 3 }, 3],
  [{ failures_max: 3, stop_on_failure: true }, 3],
])('reads %j as %s tolerated failures', (body, failuresMax) => {
  expect(wanted({ selector: '', ...TASK, ...body }).failuresMax).toBe(failuresMax);
});

it.each([
  ['nobody', TASK],
  ['two choices', { selector: 'a=b', agent_ids: ['x'], ...TASK }],
  ['no work', { selector: '' }],
  ['two kinds of work', { selector: '', operation: 'agent.ping', ...TASK }],
  ['instructions for nobody to carry out', { selector: '', instructions: 'true' }],
  ['parameters of a task', { selector: '', params: {}, ...TASK }],
  ['an operation with a route of its own', { selector: '', operation: 'task.start', params: {} }],
  ['parameters that do not fit', { selector: '', operation: 'agent.ping', params: { echo: 7 } }],
  ['a selector that is none', { selector: 'a==', ...TASK }],
  ['a task that takes too long', { selector: '', ...TASK, timeout_seconds: LIMITS.taskTimeoutSecondsMax + 1 }],
])('refuses %s', (_what, body) => {
  // Some are refused by the schema already, with the same code.
  expect(() => wanted(body)).toThrow(NewBulkRunBody.safeParse(body).success ? ControlError : Error);
});
