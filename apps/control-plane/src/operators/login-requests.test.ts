import { FakeClock } from '@drawbridge/testkit';
import { beforeEach, expect, it } from 'vitest';
import { LoginRequests } from './login-requests.ts';

let clock: FakeClock;
let requests: LoginRequests;
beforeEach(() => {
  clock = new FakeClock();
  requests = new LoginRequests(clock);
});

const missing = expect.objectContaining({ code: 'login_request_not_found' });

it('lets a command line in once somebody says yes, once', () => {
  const { id, userCode, pollSecret } = requests.create('ann on laptop', '192.0.2.1');
  expect(requests.poll(id, pollSecret)).toBeUndefined();
  expect(requests.look(id)).toEqual({ id, label: 'ann on laptop', address: '192.0.2.1', userCode });
  requests.answer(id, 'approve', 'u1');
  expect(requests.poll(id, pollSecret)).toEqual({ userId: 'u1', label: 'ann on laptop', address: '192.0.2.1' });
  expect(() => requests.poll(id, pollSecret)).toThrow(missing);
});

it('tells a command line that somebody said no', () => {
  const { id, pollSecret } = requests.create('ann on laptop', null);
  requests.answer(id, 'deny', 'u1');
  expect(() => requests.poll(id, pollSecret)).toThrow(expect.objectContaining({ code: 'login_denied' }));
});

it('takes one answer', () => {
  const { id, pollSecret } = requests.create('ann on laptop', null);
  requests.answer(id, 'deny', 'u1');
  expect(() => requests.answer(id, 'approve', 'u2')).toThrow(expect.objectContaining({ code: 'conflict' }));
  expect(() => requests.poll(id, pollSecret)).toThrow(expect.objectContaining({ code: 'login_denied' }));
});

it('gives nothing to who does not know the secret, not even what became of it', () => {
  const { id } = requests.create('ann on laptop', null);
  requests.answer(id, 'approve', 'u1');
  expect(() => requests.poll(id, 'guessed')).toThrow(missing);
});

it('waits ten minutes', async () => {
  const { id, pollSecret } = requests.create('ann on laptop', null);
  await clock.advance(10 * 60_000);
  expect(() => requests.look(id)).toThrow(missing);
  expect(() => requests.poll(id, pollSecret)).toThrow(missing);
});

it('keeps 256 at most: the oldest gives way', () => {
  const [first, second] = Array.from({ length: 257 }, (_, n) => requests.create(`machine ${n}`, null));
  expect(() => requests.look(first?.id ?? '')).toThrow(missing);
  expect(requests.look(second?.id ?? '')).toMatchObject({ label: 'machine 1' });
});

it('shows codes that are read without a mistake', () => {
  for (let n = 0; n < 50; n += 1) {
    expect(requests.create('x', null).userCode).toMatch(/^[BCDFGHJ-NP-TVWXZ]{4}-[BCDFGHJ-NP-TVWXZ]{4}$/);
  }
});
