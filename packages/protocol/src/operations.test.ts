import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { AgentName, Labels, ProviderName, Timestamp } from './ids.ts';
import { LIMITS } from './limits.ts';
import { OPERATIONS, OPERATIONS_WITH_A_ROUTE, effectOf, isOperationName } from './operations/index.ts';
import { TaskStartParams } from './operations/task.ts';

it('says of every operation what a repetition would do', () => {
  const effects = Object.fromEntries(Object.keys(OPERATIONS).map((name) => [name, effectOf(name)]));
  expect(effects).toEqual({
    'agent.ping': 'read',
    'agent.info': 'read',
    'config.get': 'read',
    'session.create': 'idempotent',
    'session.end': 'idempotent',
    'session.get': 'read',
    'session.list': 'read',
    'task.start': 'once',
    'tunnel.open': 'idempotent',
    'tunnel.close': 'idempotent',
  });
});

it('treats what it does not know with most care', () => {
  expect(effectOf('machine.explode')).toBe('once');
  for (const name of ['toString', '__proto__', '']) expect(isOperationName(name)).toBe(false);
});

it('keeps operations with a route of their own, and those with content, out of everybody’s reach', () => {
  for (const name of OPERATIONS_WITH_A_ROUTE) expect(isOperationName(name)).toBe(true);
  const withContent = Object.entries(OPERATIONS).flatMap(([name, { content }]) => (content ? [name] : []));
  expect(withContent).toEqual(['session.create', 'task.start', 'tunnel.open']);
});

const START = { task_id: randomUUID(), provider: 'shell', instructions: 'true', timeout_seconds: 60 };

it.each([
  ['no instructions', { instructions: '' }],
  ['a NUL', { instructions: 'a\0b' }],
  ['too many bytes', { instructions: '€'.repeat(LIMITS.instructionsBytesMax / 3 + 1) }],
  ['a path for an id', { task_id: '../../etc' }],
  ['a path for a provider', { provider: '../sh' }],
  ['no time', { timeout_seconds: 0 }],
  ['a key nobody knows', { shell: true }],
])('refuses a task with %s', (_name, change) => {
  expect(TaskStartParams.safeParse({ ...START, ...change }).success).toBe(false);
});

it('takes as many bytes of instructions as there may be', () => {
  const instructions = 'x'.repeat(LIMITS.instructionsBytesMax);
  expect(TaskStartParams.safeParse({ ...START, instructions }).success).toBe(true);
});

it.each([
  [AgentName, ['a', 'build-1', 'x'.repeat(40)], ['', 'A', 'a b', 'a--b', 'x'.repeat(41), 'a_b', 'ä']],
  [ProviderName, ['shell', 'my_tool-2'], ['', '1a', 'Shell', '../sh', 'x'.repeat(33)]],
  [Timestamp, ['2026-01-07T10:05:00.000Z'], ['2026-01-07', '2026-01-07T10:05:00Z', '2026-01-07T10:05:00.000+01:00']],
])('takes names and times of one shape only', (schema, good, bad) => {
  for (const text of good) expect([text, schema.safeParse(text).success]).toEqual([text, true]);
  for (const text of bad) expect([text, schema.safeParse(text).success]).toEqual([text, false]);
});

it('bounds labels, and takes no separators in them', () => {
  expect(Labels.safeParse({ 'topology.zone': 'a_1-b' }).success).toBe(true);
  for (const labels of [{ '': 'a' }, { a: '' }, { 'a,b': 'c' }, { a: 'b=c' }, { a: 'x'.repeat(64) }])
    expect(Labels.safeParse(labels).success).toBe(false);
  const many = Object.fromEntries(Array.from({ length: 33 }, (_item, index) => [`k${index}`, 'v']));
  expect(Labels.safeParse(many).success).toBe(false);
});
