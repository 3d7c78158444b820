import { settle } from '@drawbridge/testkit';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ControlPlaneFixture } from '../control-plane-fixture.ts';
import { IdempotentAnswers } from './idempotent-answers.ts';

const REQUEST = { actor: 'user:u1', key: 'k1', request: 'make it: hunter2' };
const ANSWER = { status: 201, content: 'a secret shown once' };
const DAY_MS = 24 * 60 * 60_000;

let control: ControlPlaneFixture;
let answers: IdempotentAnswers;
beforeEach(async () => {
  control = await ControlPlaneFixture.make();
  answers = restarted();
});
afterEach(() => control[Symbol.asyncDispose]());

/** Another process on the same store: what only the old one knew is gone. */
function restarted(): IdempotentAnswers {
  const { db, box, log } = control.parts;
  return new IdempotentAnswers({ db, box, log, clock: control.clock });
}

it('gives the answer again, to the same actor alone, also after a restart', async () => {
  expect(await answers.begin(REQUEST)).toBeUndefined();
  await answers.finish(REQUEST, ANSWER);
  expect(await answers.begin(REQUEST)).toEqual(ANSWER);
  expect(await restarted().begin(REQUEST)).toEqual(ANSWER);
  expect(await answers.begin({ ...REQUEST, actor: 'user:u2' })).toBeUndefined();
});

it('refuses the key for another request, while the first is under way and after it', async () => {
  const other = { ...REQUEST, request: 'make another' };
  await answers.begin(REQUEST);
  await expect(answers.begin(other)).rejects.toMatchObject({ code: 'idempotency_mismatch' });
  await answers.finish(REQUEST, ANSWER);
  await expect(answers.begin(other)).rejects.toMatchObject({ code: 'idempotency_mismatch' });
});

it('lets repetitions wait for the first', async () => {
  await answers.begin(REQUEST);
  const repeated = [answers.begin(REQUEST), answers.begin(REQUEST)];
  await settle();
  await answers.finish(REQUEST, ANSWER);
  expect(await Promise.all(repeated)).toEqual([ANSWER, ANSWER]);
  expect(control.clock.pending).toBe(0);
});

it('lets one of those who begin at the same moment act', async () => {
  const first = answers.begin(REQUEST);
  const second = answers.begin(REQUEST);
  expect(await first).toBeUndefined();
  await answers.finish(REQUEST, ANSWER);
  expect(await second).toEqual(ANSWER);
});

it('tells a repetition to come again when the first takes too long', async () => {
  await answers.begin(REQUEST);
  const [repeated] = await Promise.allSettled([answers.begin(REQUEST), control.clock.advance(20_000)]);
  expect(repeated).toMatchObject({ reason: { code: 'conflict', details: { retry_after_seconds: 1 } } });
});

it('lets a request that failed be made again, by one of those who waited', async () => {
  await answers.begin(REQUEST);
  const waiting = answers.begin(REQUEST);
  await settle();
  await answers.abandon(REQUEST);
  expect(await waiting).toBeUndefined();
});

it('says that nobody knows what came of a request whose process was killed', async () => {
  await answers.begin(REQUEST);
  await expect(restarted().begin(REQUEST)).rejects.toMatchObject({
    code: 'indeterminate',
    message: expect.stringContaining('under way when the control plane stopped'),
  });
});

it('says the same when the answer could not be stored', async () => {
  await answers.begin(REQUEST);
  await control.parts.db.updateTable('idempotency_keys').set({ key: 'other' }).execute();
  await answers.finish(REQUEST, ANSWER);
  await control.parts.db.updateTable('idempotency_keys').set({ key: REQUEST.key }).execute();
  await expect(answers.begin(REQUEST)).rejects.toMatchObject({ code: 'indeterminate' });
});

it('stores neither the request nor the answer for others to read', async () => {
  await answers.begin(REQUEST);
  await answers.finish(REQUEST, ANSWER);
  const [row] = await control.parts.db.selectFrom('idempotency_keys').selectAll().execute();
  const stored = Buffer.concat([row?.request_sha256 ?? Buffer.of(), row?.answer ?? Buffer.of()]).toString('latin1');
  expect(stored).not.toMatch(/hunter2|shown once|[0-9a-f]{64}/);
});

it('forgets after a day', async () => {
  await answers.begin(REQUEST);
  await answers.finish(REQUEST, ANSWER);
  await control.clock.advance(DAY_MS);
  expect(await answers.sweep()).toBe(0);
  expect(await answers.begin(REQUEST)).toEqual(ANSWER);
  await control.clock.advance(1);
  expect(await answers.begin(REQUEST)).toBeUndefined();
  await control.clock.advance(DAY_MS + 1);
  expect(await answers.sweep()).toBe(1);
});
