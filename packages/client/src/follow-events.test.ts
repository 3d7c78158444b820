import { expect, it } from 'vitest';
import { ApiError } from './errors.ts';
import type { FetchLike } from './fetch.ts';
import { followEvents } from './follow-events.ts';
import type { FollowedEvent } from './follow-events.ts';
import { Http } from './http.ts';
import type { RetryOptions } from './retrying.ts';

/** How long the client listens to a silent connection. */
const SILENCE_MS = 45_000;

function event(number: number): string {
  const view = { id: `b-${number}`, type: 'agent.online', at: 'now', agent_id: 'a', resource: 'agent:a', data: {} };
  return `id: ${view.id}\nevent: ${view.type}\ndata: ${JSON.stringify(view)}\n\n`;
}

/** Time that passes at once while somebody waits to try again, and never while a stream is read. */
function retry(patienceMs = 60_000): RetryOptions {
  let nowMs = 0;
  return {
    sleep: (delayMs, signal) =>
      delayMs === SILENCE_MS ? untilAborted(signal) : Promise.resolve(void (nowMs += delayMs)),
    nowMs: () => nowMs,
    patienceMs,
  };
}

/** A control plane that gives one of these answers to each request, then is away; and what it was asked. */
function answers(...bodies: readonly (string | number)[]) {
  const left = [...bodies];
  const asked: { url: string; lastEventId: string | undefined }[] = [];
  const fetch: FetchLike = (url, { headers }) => {
    asked.push({ url, lastEventId: headers['last-event-id'] });
    const body = left.shift();
    if (body === undefined) return Promise.reject(new TypeError('fetch failed'));
    const text = JSON.stringify({ code: body === 429 ? 'rate_limited' : 'not_found', message: 'no' });
    return Promise.resolve({
      status: typeof body === 'number' ? body : 200,
      headers: { get: () => null },
      body: typeof body === 'number' ? null : bytesOf(body),
      text: () => Promise.resolve(text),
    });
  };
  return { fetch, asked };
}

async function* bytesOf(text: string): AsyncIterable<Uint8Array> {
  yield new TextEncoder().encode(text);
}

async function read(fetch: FetchLike, count: number, options = {}, patience = retry()): Promise<FollowedEvent[]> {
  const seen: FollowedEvent[] = [];
  for await (const item of followEvents(new Http({ url: 'http://c.example.com', fetch }), options, patience)) {
    seen.push(item);
    if (seen.length === count) break;
  }
  return seen;
}

const idsOf = (seen: FollowedEvent[]) => seen.map((item) => (item.kind === 'event' ? item.event.id : item.kind));

it('goes on after the last event when the stream breaks, the server is away, or it is too busy', async () => {
  const { fetch, asked } = answers(event(1) + event(2), 429, event(3), ': alive\nid: b-9\n\n', event(10));
  expect(idsOf(await read(fetch, 4))).toEqual(['b-1', 'b-2', 'b-3', 'b-10']);
  expect(asked.map(({ lastEventId }) => lastEventId)).toEqual([undefined, 'b-2', 'b-2', 'b-3', 'b-9']);
});

it('asks for the kinds it was told, from where it was told', async () => {
  const { fetch, asked } = answers(event(1));
  await read(fetch, 1, { types: ['agent', 'task'], lastEventId: 'b-0' });
  expect(asked).toMatchObject([{ url: expect.stringMatching(/events\?types=agent%2Ctask$/), lastEventId: 'b-0' }]);
});

it('says when everything has to be read again', async () => {
  const { fetch } = answers(`id: c-7\nevent: reset\ndata: {}\n\n${event(8)}`);
  expect(await read(fetch, 2)).toMatchObject([{ kind: 'reset', lastEventId: 'c-7' }, { kind: 'event' }]);
});

it.each(['unauthenticated', 'forbidden'])('ends when the control plane ends it with %s', async (code) => {
  const { fetch, asked } = answers(`event: error\ndata: {"code":"${code}","message":"over"}\n\n`, event(1));
  await expect(read(fetch, 1)).rejects.toMatchObject({ code });
  expect(asked).toHaveLength(1);
});

it('loses patience with a control plane that stays away, and none while it speaks', async () => {
  const { fetch, asked } = answers(event(1));
  await expect(read(fetch, 2)).rejects.toThrow('cannot reach');
  expect(asked.length).toBeGreaterThan(5);
  await expect(read(answers(404).fetch, 1)).rejects.toBeInstanceOf(ApiError);
});

it('takes a connection on which nothing comes for a lost one', async () => {
  let connections = 0;
  const fetch: FetchLike = (_url, { signal }) => {
    connections += 1;
    return Promise.resolve({
      status: 200,
      headers: { get: () => null },
      body: connections === 1 ? silent(signal) : bytesOf(event(1)),
      text: () => Promise.resolve(''),
    });
  };
  const impatient: RetryOptions = { ...retry(), sleep: () => Promise.resolve() };
  expect(idsOf(await read(fetch, 1, {}, impatient))).toEqual(['b-1']);
  expect(connections).toBe(2);
});

it('ends with the reason of its signal', async () => {
  const over = new AbortController();
  const fetch: FetchLike = (_url, { signal }) =>
    Promise.resolve({
      status: 200,
      headers: { get: () => null },
      body: silent(signal),
      text: () => Promise.resolve(''),
    });
  const http = new Http({ url: 'http://c.example.com', fetch });
  const reading = followEvents(http, {}, retry(), over.signal)[Symbol.asyncIterator]().next();
  over.abort(new Error('enough'));
  await expect(reading).rejects.toThrow('enough');
});

/** A body that gives nothing until the request is given up. */
function silent(signal: AbortSignal | undefined): AsyncIterable<Uint8Array> {
  return { [Symbol.asyncIterator]: () => ({ next: () => untilAborted(signal) }) };
}

function untilAborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal?.aborted === true) reject(signal.reason);
    signal?.addEventListener('abort', () => reject(signal.reason));
  });
}
