import { type Pki, TempDir, makePki } from '@drawbridge/testkit';
import { X509Certificate } from 'node:crypto';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:https';
import { createSecureContext } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { DialHarness, roundTrip } from './dial-fixture.ts';
import { type TlsIdentity, pinOf } from './tls.ts';

let dir: TempDir;
let pki: Pki;
beforeAll(async () => {
  dir = await TempDir.make();
  pki = await makePki(dir.path);
});
afterAll(() => dir[Symbol.asyncDispose]());

let harness: DialHarness;
beforeEach(() => {
  harness = new DialHarness();
});
afterEach(() => harness[Symbol.asyncDispose]());

const serveTls = (certificate = pki.server, more = {}) =>
  harness.echo(createServer({ cert: certificate.cert, key: certificate.key, ...more }));

it('trusts a certificate of the given CA and sends the headers', async () => {
  const { port, seen } = await serveTls();
  const socket = await harness.dial(`wss://localhost:${port}/v1?a=b`, {
    tls: { ca: pki.ca.cert },
    headers: { authorization: 'Bearer dbk_1' },
  });
  expect(await roundTrip(socket, 'hello')).toBe('hello');
  expect(seen[0]?.url).toBe('/v1?a=b');
  expect(seen[0]?.headers).toMatchObject({
    authorization: 'Bearer dbk_1',
    host: `localhost:${port}`,
    'sec-websocket-protocol': 'drawbridge.v1',
  });
  expect(seen[0]?.headers['sec-websocket-extensions']).toBeUndefined();
});

it('takes https for wss', async () => {
  const { port } = await serveTls();
  const socket = await harness.dial(`https://127.0.0.1:${port}`, { tls: { ca: pki.ca.cert } });
  expect(await roundTrip(socket, 'hello')).toBe('hello');
});

it.each<[why: string, kind: string, tls: () => TlsIdentity]>([
  ['a CA that nobody trusts', 'tls', () => ({})],
  ['another CA than the given one', 'tls', () => ({ ca: pki.client.cert })],
  ['a wrong pin under the right CA', 'pin', () => ({ ca: pki.ca.cert, pin: pki.impostor.pin })],
  ['a wrong pin alone', 'pin', () => ({ pin: pki.impostor.pin })],
  ['a wrong pin without verification', 'pin', () => ({ pin: pki.impostor.pin, verify: false })],
  ['the right pin under another CA', 'tls', () => ({ ca: pki.client.cert, pin: pki.server.pin })],
])('refuses %s before it says anything', async (_why, kind, tls) => {
  const { port, seen } = await serveTls();
  const error = await harness.failure(`wss://localhost:${port}`, { tls: tls() });
  expect(error).toMatchObject({ name: 'DialError', kind });
  expect(seen).toEqual([]);
});

it.each<[why: string, tls: () => TlsIdentity]>([
  ['the right pin alone', () => ({ pin: pki.server.pin })],
  ['the right pin and the right CA', () => ({ ca: pki.ca.cert, pin: pki.server.pin })],
  ['any certificate without verification', () => ({ verify: false })],
])('takes %s', async (_why, tls) => {
  const { port } = await serveTls();
  expect(await roundTrip(await harness.dial(`wss://localhost:${port}`, { tls: tls() }), 'hello')).toBe('hello');
});

it('refuses a certificate for another name', async () => {
  const { port } = await serveTls(pki.client);
  expect(await harness.failure(`wss://localhost:${port}`, { tls: { ca: pki.ca.cert } })).toMatchObject({ kind: 'tls' });
});

it('refuses TLS 1.1', async () => {
  const { port } = await serveTls(pki.server, {
    minVersion: 'TLSv1',
    maxVersion: 'TLSv1.1',
    ciphers: 'DEFAULT:@SECLEVEL=0',
  });
  expect(await harness.failure(`wss://localhost:${port}`, { tls: { verify: false } })).toMatchObject({ kind: 'tls' });
});

it.each(['TLSv1.2', 'TLSv1.3'])('shows its certificate to a server that demands one over %s', async (version) => {
  const { port } = await serveTls(pki.server, {
    requestCert: true,
    ca: pki.ca.cert,
    minVersion: version,
    maxVersion: version,
  });
  const { cert, key } = pki.client;
  const socket = await harness.dial(`wss://localhost:${port}`, { tls: { ca: pki.ca.cert, cert, key } });
  expect(await roundTrip(socket, 'hello')).toBe('hello');
  expect(await harness.failure(`wss://localhost:${port}`, { tls: { ca: pki.ca.cert } })).toMatchObject({ kind: 'tls' });
});

it('says tls when its own key is broken', async () => {
  const { port } = await serveTls();
  const tls = { ca: pki.ca.cert, cert: 'no certificate', key: 'no key' };
  expect(await harness.failure(`wss://localhost:${port}`, { tls })).toMatchObject({ kind: 'tls' });
});

it('says tls when the server does not speak it', async () => {
  const { port } = await harness.echo(createHttpServer());
  expect(await harness.failure(`wss://localhost:${port}`)).toMatchObject({ kind: 'tls' });
});

it('tells the server which name it wants, but never an address', async () => {
  const names: string[] = [];
  const { port } = await serveTls(pki.server, {
    SNICallback: (name: string, done: (error: null, context: object) => void) => {
      names.push(name);
      done(null, createSecureContext({ cert: pki.server.cert, key: pki.server.key }));
    },
  });
  await harness.dial(`wss://localhost:${port}`, { tls: { ca: pki.ca.cert } });
  await harness.dial(`wss://127.0.0.1:${port}`, { tls: { ca: pki.ca.cert } });
  expect(names).toEqual(['localhost']);
});

it('finds the pin that openssl finds', () => {
  expect(pinOf(new X509Certificate(pki.server.cert))).toBe(pki.server.pin);
  expect(pinOf(undefined)).toBe('none');
});
