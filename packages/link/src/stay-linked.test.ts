import { LIMITS } from '@drawbridge/protocol';
import { expect, it } from 'vitest';
import { FakeClock, settle } from '../../testkit/src/fake-clock.ts';
import { BACKOFF } from './backoff.ts';
import type { BackoffOptions } from './backoff.ts';
import type { LinkEnd } from './link-end.ts';
import { stayLinked } from './stay-linked.ts';
import type { Loss } from './stay-linked.ts';

/** What one dial comes to: an error, or a link that ends like this after so long. */
type Fate = Error | { readonly afterMs: number; readonly end: LinkEnd };

const refused = new Error('refused');
const transient = { kind: 'transient', reason: 'lost' } as const;
const superseded = { kind: 'superseded', reason: 'superseded' } as const;
const forbidden = Object.assign(new Error('answered 403'), { httpStatus: 403 });
const lasts = (afterMs: number, end: LinkEnd = transient): Fate => ({ afterMs, end });

/** Runs the fates one after the other; the link of the last one lives until the end of the test. */
function run(fates: readonly Fate[], backoff: Partial<BackoffOptions> = {}) {
  const clock = new FakeClock();
  const abort = new AbortController();
  const counts = { dialed: 0, disposed: 0 };
  const told: string[] = [];
  const losses: Loss[] = [];
  const tell = (who: string) => (loss: Loss) => {
    told.push(who);
    if (who !== 'duplicate') losses.push(loss);
  };
  const done = stayLinked(
    {
      clock,
      random: () => 1,
      backoff: { ...BACKOFF.full_jitter, ...backoff },
      onLost: tell('lost'),
      onAuthRejected: tell('auth'),
      onDuplicateIdentity: tell('duplicate'),
      async dial() {
        const fate = fates[counts.dialed];
        counts.dialed += 1;
        if (fate instanceof Error) throw fate;
        const { promise, resolve } = Promise.withResolvers<LinkEnd>();
        const timer = fate && clock.after(fate.afterMs, () => resolve(fate.end));
        return {
          ended: promise,
          async [Symbol.asyncDispose]() {
            timer?.cancel();
            counts.disposed += 1;
          },
        };
      },
    },
    abort.signal,
  );
  const outcome = done.catch((error: unknown) => error);
  const stop = async () => {
    abort.abort(new Error('stopped'));
    const reason = await outcome;
    expect(clock.pending).toBe(0);
    return reason;
  };
  return { clock, told, losses, counts, outcome, stop };
}

it('waits longer after each failure, and starts over after a healthy link', async () => {
  const { clock, stop, counts } = run([refused, refused, lasts(10), refused, lasts(LIMITS.healthyLinkMs), refused]);
  await clock.advance(200_000);
  expect(clock.sleeps).toEqual([1_000, 2_000, 4_000, 8_000, 1_000, 2_000]);
  expect(counts).toEqual({ dialed: 7, disposed: 2 });
  await stop();
  expect(counts.disposed).toBe(3);
});

it('cools down after a rejected credential, apart from the back-off', async () => {
  const { clock, told, losses, stop } = run([
    refused,
    forbidden,
    forbidden,
    refused,
    lasts(5, { kind: 'auth', reason: '401' }),
  ]);
  await clock.advance(200_000);
  expect(clock.sleeps).toEqual([1_000, 30_000, 30_000, 2_000, 30_000]);
  expect(told).toEqual(['lost', 'auth', 'auth', 'lost', 'auth']);
  expect(losses.map((loss) => loss.failures)).toEqual([1, 1, 1, 2, 2]);
  await stop();
});

it('obeys a server that says how long, and spreads a crowd that was refused together', async () => {
  const wait = { kind: 'retry_after', reason: 'full', retryAfterMs: 7_000 } as const;
  const unavailable = Object.assign(new Error('503'), { httpStatus: 503, retryAfterMs: 9_000 });
  const { clock, losses, stop } = run([lasts(1, wait), lasts(1, { ...wait, spreadMs: 500 }), unavailable]);
  await clock.advance(60_000);
  expect(clock.sleeps).toEqual([7_000, 7_500, 18_000]);
  expect(losses.at(-1)).toMatchObject({ failures: 0, end: { kind: 'retry_after', error: unavailable } });
  await stop();
});

it('waits a minute when superseded, and is loud when that happens three times in ten minutes', async () => {
  const { clock, told, stop } = run(Array.from({ length: 4 }, () => lasts(1_000, superseded)));
  await clock.advance(300_000);
  expect(clock.sleeps).toEqual([60_000, 60_000, 60_000, 60_000]);
  expect(told).toEqual(['lost', 'lost', 'lost', 'duplicate', 'lost', 'duplicate']);
  await stop();
});

it('is not loud when superseded three times in a long while', async () => {
  const { clock, told, stop } = run(Array.from({ length: 4 }, () => lasts(LIMITS.supersededWindowMs / 2, superseded)));
  await clock.advance(3_600_000);
  expect(told).toEqual(['lost', 'lost', 'lost', 'lost']);
  await stop();
});

it('backs off when the server drains', async () => {
  const { clock, losses, stop } = run([lasts(1, { kind: 'draining', reason: 'restarting' })]);
  await clock.advance(5_000);
  expect(losses).toEqual([{ end: { kind: 'draining', reason: 'restarting' }, failures: 1, livedMs: 1, waitMs: 1_000 }]);
  await stop();
});

it('gives up after as many failures as it was allowed', async () => {
  const { clock, outcome, counts } = run([refused, refused, refused, refused], { attemptsMax: 2 });
  await clock.advance(60_000);
  expect(await outcome).toMatchObject({ code: 'timed_out', cause: refused });
  expect(counts.dialed).toBe(3);
  expect(clock.pending).toBe(0);
});

it('stops while it waits, leaving no timer', async () => {
  const { clock, stop, counts } = run([refused]);
  await clock.advance(1);
  expect(clock.pending).toBe(1);
  expect(await stop()).toEqual(new Error('stopped'));
  expect(counts.dialed).toBe(1);
});

it('stops while it is linked, and disposes of the link', async () => {
  const { stop, counts, told } = run([lasts(1_000)]);
  await settle();
  expect(await stop()).toEqual(new Error('stopped'));
  expect(told).toEqual([]);
  expect(counts).toEqual({ dialed: 1, disposed: 1 });
});
