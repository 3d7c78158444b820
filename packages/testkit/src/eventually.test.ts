import { expect, it } from 'vitest';
import { eventually } from './eventually.ts';

it('gives the first value that is there', async () => {
  const values = [undefined, null, false, 0] as const;
  let asked = 0;
  const value = await eventually(() => values[asked++], { what: 'a value' });
  expect(value).toBe(0);
});

it('waits until the value is good', async () => {
  let count = 0;
  expect(await eventually(() => (count += 1), { what: 'three', until: (n) => n === 3 })).toBe(3);
});

it('takes an assertion for a fact', async () => {
  let count = 0;
  await eventually(
    () => {
      count += 1;
      expect(count).toBe(3);
      return true;
    },
    { what: 'the third time' },
  );
  expect(count).toBe(3);
});

it('says what it waited for and what it saw last', async () => {
  const waiting = eventually(() => ({ agents: 1 }), { what: 'two agents', timeoutMs: 10, until: () => false });
  await expect(waiting).rejects.toThrow('waited 10 ms for two agents; last value: { agents: 1 }');
});

it('says why the fact failed last', async () => {
  const cause = new Error('connection refused');
  const waiting = eventually(() => Promise.reject(cause), { what: 'an answer', timeoutMs: 10 });
  await expect(waiting).rejects.toThrow(
    expect.objectContaining({ message: 'waited 10 ms for an answer; last error: connection refused', cause }),
  );
});

it('does not wait for a fact that never answers', async () => {
  const waiting = eventually(() => new Promise<never>(() => {}), { what: 'an answer', timeoutMs: 10 });
  await expect(waiting).rejects.toThrow('waited 10 ms for an answer');
});
