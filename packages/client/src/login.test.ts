import { createServer } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { FakeClock } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import type { FetchLike } from './fetch.ts';
import { awaitLogin, requestLogin, signInWithPassword, signOut, whoAmI } from './login.ts';
import type { RetryOptions } from './retrying.ts';

const SESSION = { token: 'dbs_secret', expires_at: '2026-01-07T22:00:00.000Z' };
const REQUEST = {
  id: 'r/1',
  user_code: 'ABCD-EFGH',
  verification_url: 'https://control.example.com/login',
  poll_secret: 'poll-secret',
  interval_seconds: 2,
  expires_at: '2026-01-07T10:10:00.000Z',
};

interface Asked {
  readonly line: string;
  readonly authorization: string | undefined;
  readonly body: unknown;
}

type Answer = readonly [status: number, body?: unknown];

it('exchanges a password for a session, in the body and nowhere else', async () => {
  await using server = await fakeServer([[201, SESSION]]);
  const who = { user: 'ann', password: 'correct horse', label: 'cli on x' };
  expect(await signInWithPassword(server, who)).toEqual(SESSION);
  expect(server.asked).toEqual([{ line: 'POST /api/v1/sessions', authorization: undefined, body: who }]);
});

it('asks for a sign-in, and polls at the interval it is told until it is confirmed', async () => {
  await using server = await fakeServer([[201, REQUEST], [202], [202, { state: 'pending' }], [201, SESSION]]);
  const request = await requestLogin(server, 'cli on x');
  const { clock, retry } = patience();
  const session = awaitLogin(server, request, retry);
  expect(await run(clock, session)).toEqual(SESSION);
  expect(clock.sleeps).toEqual([2000, 2000, 2000]);
  const poll = { line: 'POST /api/v1/login-requests/r%2F1/token', body: { poll_secret: 'poll-secret' } };
  expect(server.asked).toMatchObject([
    { line: 'POST /api/v1/login-requests', body: { label: 'cli on x' } },
    poll,
    poll,
    poll,
  ]);
});

it('gets over a control plane that is away or busy for a while', async () => {
  const busy: Answer = [429, { code: 'rate_limited', message: 'slow down' }];
  await using server = await fakeServer([busy, [503, { code: 'server_draining', message: 'bye' }], [201, SESSION]]);
  const { clock, retry } = patience();
  expect(await run(clock, awaitLogin(server, REQUEST, retry))).toEqual(SESSION);
});

it.each([
  [403, 'login_denied'],
  [404, 'login_request_not_found'],
  [410, 'expired'],
])('ends when the answer is %i', async (status, code) => {
  await using server = await fakeServer([[202], [status, { code, message: 'no' }]]);
  const { clock, retry } = patience();
  await expect(run(clock, awaitLogin(server, REQUEST, retry))).rejects.toMatchObject({ code, status });
  expect(server.asked).toHaveLength(2);
});

it('gives up in the end when nobody answers the question', async () => {
  const { clock, retry } = patience();
  const never: FetchLike = () =>
    Promise.resolve({ status: 202, headers: { get: () => null }, body: null, text: () => Promise.resolve('') });
  const options = { url: 'http://control.example.com', fetch: never };
  const slow = { ...REQUEST, interval_seconds: 60 };
  await expect(run(clock, awaitLogin(options, slow, retry))).rejects.toMatchObject({ code: 'expired' });
  expect(clock.monotonic()).toBe(1_800_000);
});

it('never asks more often than once a second, whatever it is told', async () => {
  await using server = await fakeServer([[201, SESSION]]);
  const { clock, retry } = patience();
  await run(clock, awaitLogin(server, { ...REQUEST, interval_seconds: 0 }, retry));
  expect(clock.sleeps).toEqual([1000]);
});

it('stops asking when its signal says so', async () => {
  await using server = await fakeServer([]);
  const { retry } = patience();
  const leave = new AbortController();
  const session = awaitLogin(server, REQUEST, retry, leave.signal);
  leave.abort(new Error('enough'));
  await expect(session).rejects.toThrow('enough');
  expect(server.asked).toEqual([]);
});

it('ends the session it holds', async () => {
  await using server = await fakeServer([[204]]);
  await signOut({ ...server, token: 'dbs_secret' });
  expect(server.asked).toMatchObject([{ line: 'DELETE /api/v1/sessions/current', authorization: 'Bearer dbs_secret' }]);
});

it.each([
  [
    { kind: 'admin', id: 'a' },
    { kind: 'admin', id: 'a', roles: [] },
  ],
  [
    { kind: 'user', id: 'u', name: 'ann', user_id: 'u', roles: [{ role: 'viewer', selector: '' }], rights: [], new: 1 },
    { kind: 'user', id: 'u', name: 'ann', user_id: 'u', roles: [{ role: 'viewer', selector: '' }] },
  ],
  [
    { kind: 'user', id: 'u', roles: ['viewer'] },
    { kind: 'user', id: 'u', roles: [] },
  ],
])('understands who %j is', async (answer, expected) => {
  await using server = await fakeServer([[200, answer]]);
  expect(await whoAmI(server)).toEqual(expected);
});

/** A control plane on a real port that gives these answers in turn and keeps what it was asked. */
async function fakeServer(answers: Answer[]) {
  const asked: Asked[] = [];
  const left = [...answers];
  const server = createServer((request, response) => {
    void (async () => {
      asked.push(await askedOf(request));
      const [status, body] = left.shift() ?? [500];
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(body === undefined ? undefined : JSON.stringify(body));
    })();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    fetch: ((target, init) => fetch(target, init)) satisfies FetchLike,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function askedOf(request: IncomingMessage): Promise<Asked> {
  const body = await text(request);
  return {
    line: `${request.method} ${request.url}`,
    authorization: request.headers.authorization,
    body: body === '' ? undefined : JSON.parse(body),
  };
}

function patience(): { clock: FakeClock; retry: RetryOptions } {
  const clock = new FakeClock();
  const retry: RetryOptions = {
    sleep: (delayMs, signal) => clock.sleep(delayMs, signal),
    nowMs: () => clock.monotonic(),
    patienceMs: 60_000,
  };
  return { clock, retry };
}

/** Lets time pass, a step at a time, until `work` is over. */
async function run<T>(clock: FakeClock, work: Promise<T>): Promise<T> {
  const over = new AbortController();
  const ended = work.finally(() => over.abort());
  ended.catch(() => undefined);
  while (!over.signal.aborted) await clock.advance(clock.pending > 0 ? 1000 : 0);
  return ended;
}
