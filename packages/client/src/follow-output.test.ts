import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import type { FetchLike } from './fetch.ts';
import { followOutput } from './follow-output.ts';
import { Http } from './http.ts';
import type { RetryOptions } from './retrying.ts';

const WHOLE = Uint8Array.from({ length: 500 }, (_byte, index) => index % 251);

function retry(patienceMs = 60_000): RetryOptions {
  let nowMs = 0;
  return {
    sleep: (delayMs) => Promise.resolve(void (nowMs += delayMs)),
    nowMs: () => nowMs,
    patienceMs,
  };
}

/** A control plane that serves `WHOLE` from the offset asked for, and breaks off after so many bytes, each time once. */
function flaky(breaks: readonly number[]): { fetch: FetchLike; offsets: number[] } {
  const left = [...breaks];
  const offsets: number[] = [];
  const fetch: FetchLike = (url) => {
    const since = Number(new URL(url).searchParams.get('since'));
    offsets.push(since);
    const breakAfter = left.shift();
    if (breakAfter === 0) return Promise.reject(new TypeError('fetch failed'));
    return Promise.resolve({
      status: 200,
      headers: { get: () => null },
      body: chunks(WHOLE.subarray(since), breakAfter),
      text: () => Promise.resolve(''),
    });
  };
  return { fetch, offsets };
}

async function* chunks(bytes: Uint8Array, breakAfter: number | undefined): AsyncIterable<Uint8Array> {
  const end = Math.min(breakAfter ?? bytes.byteLength, bytes.byteLength);
  for (let at = 0; at < end; at += 7) yield bytes.subarray(at, Math.min(at + 7, end));
  if (breakAfter !== undefined) throw new TypeError('terminated');
}

async function read(fetch: FetchLike, since = 0, options = retry(), signal?: AbortSignal): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  const http = new Http({ url: 'http://control.example.com', fetch });
  for await (const part of followOutput(http, 'task', since, options, signal)) parts.push(part);
  return Buffer.concat(parts);
}

it('gives each byte once and in order, wherever it breaks and however often', async () => {
  const story = fc.asyncProperty(fc.array(fc.nat(200), { maxLength: 8 }), fc.nat(500), async (breaks, since) => {
    expect(await read(flaky(breaks).fetch, since)).toEqual(Buffer.from(WHOLE.subarray(since)));
  });
  await fc.assert(story);
});

it('asks for the rest only', async () => {
  const { fetch, offsets } = flaky([14, 0, 7]);
  await read(fetch);
  expect(offsets).toEqual([0, 14, 14, 21]);
});

it('gives up when there was nothing for too long', async () => {
  const { fetch } = flaky(Array.from({ length: 50 }, () => 0));
  await expect(read(fetch, 0, retry(2_000))).rejects.toThrow('cannot reach the control plane');
});

it('does not go on after a refusal', async () => {
  const text = '{"code":"task_not_found","message":"no task"}';
  const fetch: FetchLike = () =>
    Promise.resolve({ status: 404, headers: { get: () => null }, body: null, text: () => Promise.resolve(text) });
  await expect(read(fetch)).rejects.toMatchObject({ code: 'task_not_found' });
});

it('stops with the reason of its signal', async () => {
  const signal = AbortSignal.abort(new Error('enough'));
  await expect(read(flaky([0]).fetch, 0, retry(), signal)).rejects.toThrow('enough');
});
