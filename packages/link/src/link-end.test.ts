import { expect, it } from 'vitest';
import { endOfDial, endOfSocket } from './link-end.ts';

it.each([
  [1000, '', false, 'transient'],
  [1006, '', true, 'transient'],
  [1008, 'auth timeout', true, 'auth'],
  [1002, '', true, 'auth'],
  [1002, 'protocol error', false, 'transient'],
  [1008, '', false, 'transient'],
  [1000, '401 token expired', false, 'auth'],
  [1011, 'you are Forbidden here', false, 'auth'],
  [4001, 'superseded', false, 'superseded'],
  [4003, 'revoked', false, 'auth'],
  [1013, 'restarting', false, 'draining'],
])('a socket closed with %i %j (before auth: %s) is %s', (code, reason, beforeAuth, kind) => {
  expect(endOfSocket({ code, reason }, beforeAuth).kind).toBe(kind);
});

it.each([
  [{ httpStatus: 401 }, 'auth'],
  [{ httpStatus: 403, retryAfterMs: 5 }, 'auth'],
  [{ httpStatus: 503, retryAfterMs: 7_000 }, 'retry_after'],
  [{ httpStatus: 503 }, 'transient'],
  [{ httpStatus: '401' }, 'transient'],
  [{}, 'transient'],
])('a dial that failed with %j is %s', (fields, kind) => {
  const error = Object.assign(new Error('no'), fields);
  expect(endOfDial(error)).toMatchObject({ kind, reason: 'no', error });
});

it.each([['text'], [undefined], [null]])('a dial may reject with %j', (error) => {
  expect(endOfDial(error)).toEqual({ kind: 'transient', reason: String(error), error });
});

it.each([
  [7_000, 7_000],
  [3_600_000, 60_000],
])(
  'a crowd that was told to wait %i ms comes back within %i ms of each other, not all at once',
  (retryAfterMs, spreadMs) => {
    const error = Object.assign(new Error('no'), { httpStatus: 429, retryAfterMs });
    expect(endOfDial(error)).toMatchObject({ kind: 'retry_after', retryAfterMs, spreadMs });
  },
);
