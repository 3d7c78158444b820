import { expect, it } from 'vitest';
import { CloseReason, isAuthRejection, WsClose } from './close-codes.ts';

it('keeps the numbers of PROTOCOL.md §3.2', () => {
  expect(Object.values(CloseReason)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
});

it('sends no code that RFC 6455 reserves, and each for one reason', () => {
  const codes: number[] = Object.values(WsClose);
  expect(codes.filter((code) => [1004, 1005, 1006, 1015].includes(code))).toEqual([]);
  expect(codes.filter((code) => code < 1000 || code > 4999)).toEqual([]);
  expect(new Set(codes).size).toBe(codes.length);
});

it.each([
  [{ httpStatus: 401 }, true, true],
  [{ httpStatus: 403 }, true, true],
  [{ httpStatus: 429 }, true, false],
  [{ httpStatus: 503 }, true, false],
  [{ code: 1008 }, true, true],
  [{ code: 1002 }, true, true],
  [{ code: 1008, reason: 'auth timeout' }, true, true],
  [{ code: 1008 }, false, false],
  [{ code: 1002, reason: 'protocol error' }, false, false],
  [{ code: 1006, reason: '' }, true, false],
  [{ code: 1000, reason: '401 token expired' }, false, true],
  [{ code: 1008, reason: '403' }, false, true],
  [{ code: 4003, reason: 'agent is Unauthorized' }, false, true],
  [{ code: 1011, reason: 'forbidden' }, false, true],
  [{ code: 1011, reason: 'after 401 attempts' }, false, false],
  [{}, true, false],
])('%j (before auth: %s) is an authentication failure: %s', (end, beforeAuth, expected) => {
  expect(isAuthRejection(end, beforeAuth)).toBe(expected);
});
