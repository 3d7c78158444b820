import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { eventually } from '@drawbridge/testkit';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { answerClientError } from './client-error.ts';
import { takesItsTime } from './request-time.ts';
import { ServerHarness, untilClosed } from './server-fixture.ts';

let harness: ServerHarness;
beforeEach(async () => {
  harness = await ServerHarness.start();
  harness.server.on('clientError', answerClientError);
});
afterEach(() => harness[Symbol.asyncDispose]());

async function say(text: string): Promise<{ status: string; body: unknown }> {
  const socket = await harness.connect();
  socket.write(text);
  const [head = '', body = ''] = (await untilClosed(socket)).split('\r\n\r\n');
  return { status: head.split('\r\n', 1)[0] ?? '', body: JSON.parse(body) };
}

it.each([
  ['GET / HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n', 'HTTP/1.1 400 Bad Request', 'invalid_request'],
  ['\x16\x03\x01 this is TLS', 'HTTP/1.1 400 Bad Request', 'invalid_request'],
  [
    `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`,
    'HTTP/1.1 431 Request Header Fields Too Large',
    'payload_too_large',
  ],
])('answers %j in the words of the API', async (text, status, code) => {
  expect(await say(text)).toEqual({
    status,
    body: { code, message: expect.any(String), request_id: expect.stringMatching(/^[0-9a-f-]{36}$/) },
  });
});

it('answers who is too slow', async () => {
  harness.server.headersTimeout = 20;
  expect(await say('GET / HTTP/1.1\r\n')).toMatchObject({
    status: 'HTTP/1.1 408 Request Timeout',
    body: { code: 'timed_out' },
  });
});

it('leaves alone whose request may take its time, until that is answered', async () => {
  const asked = Promise.withResolvers<[IncomingMessage, ServerResponse]>();
  await using slow = await ServerHarness.start({}, (request, response) => {
    takesItsTime(request, response);
    asked.resolve([request, response]);
  });
  const refused: unknown[] = [];
  slow.server.on('clientError', (error, socket) => {
    refused.push(error);
    answerClientError(error, socket as Socket);
  });
  slow.server.requestTimeout = 20;
  const socket = await slow.connect();
  socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe');
  const [request, response] = await asked.promise;
  await eventually(() => refused.length === 1, { what: 'the time to be up', timeoutMs: 15_000 });
  const text = once(
    request.setEncoding('utf8').on('data', () => undefined),
    'end',
  );
  socket.write('llo');
  await text;
  response.end('served');
  expect(String((await once(socket, 'data'))[0])).toContain('served');
  socket.write('POST / HTTP/1.1\r\n');
  expect(await untilClosed(socket)).toContain('408');
});
