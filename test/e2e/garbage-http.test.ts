import type { TestControlPlane } from '@drawbridge/testkit';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { GarbageWorld } from './garbage-world.ts';

const MIB = 1024 * 1024;

let world: GarbageWorld;
let controlPlane: TestControlPlane;

beforeAll(async () => {
  world = await GarbageWorld.start();
  ({ controlPlane } = world);
});
afterAll(() => world[Symbol.asyncDispose]());
afterEach(() => world.expectUnharmed());

const id = randomUUID();
const POSTS = ['/agents', `/agents/${id}/commands`, '/enroll', '/join-tokens', '/sign-in', '/tasks'];

it.each(POSTS)('refuses wrong types, unknown keys and no object on POST /api/v1%s', async (path) => {
  for (const body of [
    { surprise: 1 },
    { name: 7, token: [], code: {}, uses: 'x', agent_id: null, operation: 1 },
    [],
    'text',
    1,
  ]) {
    const answer = await controlPlane.api('POST', `/api/v1${path}`, body);
    expect(answer).toMatchObject({ status: 422, body: { code: 'invalid_request' } });
  }
});

it.each(POSTS)(
  'refuses JSON that is cut, nested a hundred thousand deep, or too long on POST /api/v1%s',
  async (path) => {
    const answer = (body: string) => speakRaw(httpRequest('POST', `/api/v1${path}`, body, JSON_TYPE));
    expect(await answer('{"name": "x')).toMatch(/^HTTP\/1\.1 4(00|22) /);
    expect(await answer(`${'['.repeat(100_000)}${']'.repeat(100_000)}`)).toMatch(/^HTTP\/1\.1 4(00|22) /);
    // Its beginning is enough: a rest that nobody reads would reset the connection, and take the answer with it.
    const tooLong = httpRequest('POST', `/api/v1${path}`, JSON.stringify({ name: 'x'.repeat(2 * MIB) }), JSON_TYPE);
    expect(await speakRaw(tooLong.slice(0, 2_000))).toMatch(/^HTTP\/1\.1 413 /);
  },
);

it.each([
  ['GET', `/tasks/not-a-uuid`, 422],
  ['GET', `/tasks/${id}`, 404],
  ['GET', `/tasks/${id}/output?since=-1`, 422],
  ['GET', `/tasks/${id}/output?follow=perhaps`, 422],
  ['GET', '/tasks?limit=1000000', 422],
  ['GET', '/agents?limit=nan&limit=2', 422],
  ['GET', `/agents/${'a'.repeat(65)}`, 422],
  ['GET', `/agents/${'a'.repeat(129)}`, 414],
  ['GET', '/agents/%00', 404],
  ['GET', '/agents/..%2f..%2fetc%2fpasswd', 404],
  ['GET', '/agents/%ff', 400],
  ['GET', '/identity?nonce=short', 422],
  ['DELETE', '/join-tokens/x', 422],
  ['DELETE', `/join-tokens/${id}`, 404],
  ['DELETE', '/tasks', 404],
  ['PATCH', '/enroll', 404],
  ['POST', `/commands/${id}/cancel`, 404],
] as const)('answers %s /api/v1%s with %i', async (method, path, status) => {
  const { status: actual, body } = await controlPlane.api(method, `/api/v1${path}`);
  expect(actual).toBe(status);
  expect(body).toMatchObject({ code: expect.any(String), message: expect.any(String) });
});

it.each([
  'GARBAGE\r\n\r\n',
  '\x00\x01\x02\x03\r\n\r\n',
  'GET / HTTP/9.9\r\n\r\n',
  `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`,
  'POST /api/v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'POST /api/v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: localhost\r\nBad Header: y\r\n\r\n',
])('answers malformed HTTP with a 4xx and hangs up: case %#', async (text) => {
  expect(await speakRaw(text)).toMatch(/^HTTP\/1\.1 4\d\d /);
});

it('takes no credential in a query string, and repeats none', async () => {
  for (const name of ['token', 'access_token', 'api_key', 'password', 'code']) {
    const secret = `dbt_${'s'.repeat(40)}`;
    const { status, body } = await controlPlane.api('GET', `/api/v1/agents?${name}=${secret}`);
    expect(status).toBe(400);
    expect(JSON.stringify(body) + JSON.stringify(controlPlane.logs)).not.toContain(secret);
  }
});

it('hangs up on headers and bodies that never end', async () => {
  const [headers, body] = await Promise.all([
    speakRaw('GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: '),
    speakRaw(
      `POST /api/v1/tasks HTTP/1.1\r\nHost: localhost\r\n${JSON_TYPE}Authorization: Bearer ${controlPlane.token}\r\nContent-Length: 100\r\n\r\n{`,
    ),
  ]);
  expect([headers, body]).toEqual([
    expect.stringMatching(/^(HTTP\/1\.1 408 |$)/),
    expect.stringMatching(/^(HTTP\/1\.1 408 |$)/),
  ]);
}, 120_000);

/** Sends these bytes to the HTTP port and resolves to all that comes back, once the server has hung up. */
async function speakRaw(text: string): Promise<string> {
  const { port, hostname } = new URL(controlPlane.url);
  const socket = connect(Number(port), hostname);
  const chunks: Buffer[] = [];
  socket.on('error', () => {});
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.write(text);
  await once(socket, 'close');
  return Buffer.concat(chunks).toString();
}

function httpRequest(method: string, path: string, body: string, headers = ''): string {
  const authorization = `Authorization: Bearer ${controlPlane.token}\r\n`;
  const length = `Content-Length: ${Buffer.byteLength(body)}\r\n`;
  return `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${authorization}${headers}${length}\r\n${body}`;
}

const JSON_TYPE = 'Content-Type: application/json\r\n';
