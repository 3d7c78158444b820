import { expect, it } from 'vitest';
import { ControlError, ERROR_CODES, ProtocolError } from './errors.ts';

it('keeps every code once, in order, in snake case', () => {
  expect([...new Set(ERROR_CODES)].toSorted()).toEqual([...ERROR_CODES]);
  for (const code of ERROR_CODES) expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/);
});

it('keeps the cause only when there is one', () => {
  const cause = new Error('why');
  expect(new ControlError('conflict', 'taken', { cause, details: { by: 'x' } })).toMatchObject({
    name: 'ControlError',
    code: 'conflict',
    message: 'taken',
    cause,
    details: { by: 'x' },
  });
  expect(Object.hasOwn(new ControlError('conflict', 'taken'), 'cause')).toBe(false);
});

it('names what of the wire was broken', () => {
  expect(new ProtocolError('message_json', 'not JSON').message).toBe('message_json: not JSON');
});
