import { expect, it } from 'vitest';
import { z } from 'zod';
import { ApiError, UnreachableError, isPassing } from './errors.ts';
import { answers, response } from './fetch-fixture.ts';
import { Http } from './http.ts';

const URL_ = 'https://control.example.com';

it('asks with its token, and checks the answer', async () => {
  const { fetch, asked } = answers(response(200, '{"id":"1","later":true}'));
  const http = new Http({ url: URL_, token: 'dbt_x', fetch });
  expect(await http.json(z.object({ id: z.string() }), '/api/v1/tasks', { body: { a: 1 } })).toEqual({ id: '1' });
  expect(asked).toEqual([
    {
      url: `${URL_}/api/v1/tasks`,
      init: {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: 'Bearer dbt_x' },
        body: '{"a":1}',
      },
    },
  ]);
});

it('says nothing of a token it has not', async () => {
  const { fetch, asked } = answers(response(204));
  await new Http({ url: URL_, fetch }).done('/x', { method: 'DELETE' });
  expect(asked[0]?.init).toEqual({ method: 'DELETE', headers: {} });
});

it('turns a refusal into its code, words and status', async () => {
  const text = '{"code":"agent_offline","message":"agent a is offline","request_id":"r1"}';
  const error = await new Http({ url: URL_, fetch: answers(response(503, text)).fetch })
    .send('/x')
    .catch((e: unknown) => e);
  expect(error).toBeInstanceOf(ApiError);
  expect(error).toMatchObject({ code: 'agent_offline', message: 'agent a is offline', status: 503, requestId: 'r1' });
});

it('does not take the page of a proxy for an answer', async () => {
  const { fetch } = answers(response(502, '<html>bad gateway'));
  await expect(new Http({ url: URL_, fetch }).send('/x')).rejects.toMatchObject({ code: 'internal', status: 502 });
});

it.each(['<html>welcome to the hotel', '{"id":1}'])('does not take %s for an answer', async (text) => {
  const http = new Http({ url: URL_, fetch: answers(response(200, text)).fetch });
  const answer = http.json(z.object({ id: z.string() }), '/x');
  await expect(answer).rejects.toMatchObject({ name: 'ApiError', code: 'internal', status: 200, url: URL_ });
});

it('says who could not be reached, also when the body breaks off', async () => {
  const broken = { ...response(200), text: () => Promise.reject(new TypeError('terminated')) };
  const { fetch } = answers(new TypeError('fetch failed', { cause: new Error('ECONNREFUSED') }), broken);
  const http = new Http({ url: URL_, fetch });
  await expect(http.send('/x')).rejects.toThrow(`cannot reach the control plane at ${URL_}: ECONNREFUSED`);
  await expect(http.json(z.unknown(), '/x')).rejects.toBeInstanceOf(UnreachableError);
});

it('rejects with the reason of its signal, whatever the platform throws', async () => {
  const signal = AbortSignal.abort(new Error('enough'));
  const { fetch } = answers(new TypeError('aborted'));
  await expect(new Http({ url: URL_, fetch }).send('/x', { signal })).rejects.toThrow('enough');
});

it.each([
  [new UnreachableError(URL_, undefined), true],
  [new ApiError({ code: 'rate_limited', message: '', status: 429 }), true],
  [new ApiError({ code: 'agent_offline', message: '', status: 503 }), false],
  [new ApiError({ code: 'store_unavailable', message: '', status: 503 }), true],
  [new ApiError({ code: 'internal', message: '', status: 500 }), false],
  [new ApiError({ code: 'not_found', message: '', status: 404 }), false],
  [new TypeError('bug'), false],
])('knows what passes: %s', (error, passes) => {
  expect(isPassing(error)).toBe(passes);
});
