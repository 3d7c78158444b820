import { expect, it } from 'vitest';
import { ApiError, UnreachableError } from './errors.ts';
import { delayMs, retrying } from './retrying.ts';
import type { RetryOptions } from './retrying.ts';

/** Time that passes when somebody sleeps. */
function retry(patienceMs: number) {
  const slept: number[] = [];
  let nowMs = 0;
  const options: RetryOptions = {
    sleep(delay, signal) {
      slept.push(delay);
      nowMs += delay;
      return signal?.aborted === true ? Promise.reject(signal.reason) : Promise.resolve();
    },
    nowMs: () => nowMs,
    patienceMs,
  };
  return { options, slept };
}

const AWAY = new UnreachableError('http://a', new Error('refused'));

it('waits longer each time, up to five seconds', () => {
  expect([1, 2, 3, 4, 5, 6, 99].map(delayMs)).toEqual([200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
});

it('repeats until it works', async () => {
  const { options, slept } = retry(10_000);
  let attempts = 0;
  const work = () => {
    attempts += 1;
    return attempts < 4 ? Promise.reject(AWAY) : Promise.resolve('done');
  };
  expect(await retrying(work, options)).toBe('done');
  expect(slept).toEqual([200, 400, 800]);
});

it('gives up before its patience is over, with the last error', async () => {
  const { options, slept } = retry(1_000);
  await expect(retrying(() => Promise.reject(AWAY), options)).rejects.toBe(AWAY);
  expect(slept).toEqual([200, 400]);
});

it('does not repeat what will not pass', async () => {
  const { options, slept } = retry(10_000);
  const refused = new ApiError({ code: 'forbidden', message: '', status: 403 });
  await expect(retrying(() => Promise.reject(refused), options)).rejects.toBe(refused);
  expect(slept).toEqual([]);
});

it('stops with the reason of its signal', async () => {
  const { options } = retry(10_000);
  const signal = AbortSignal.abort(new Error('enough'));
  await expect(retrying(() => Promise.reject(AWAY), options, signal)).rejects.toThrow('enough');
});
