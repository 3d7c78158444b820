import { once } from 'node:events';
import { TempDir, makeClientCertificate, makePki } from '@drawbridge/testkit';
import type { ClientNames, Pki, TestCertificate } from '@drawbridge/testkit';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { ServerHarness } from '../http/server-fixture.ts';
import { agentsNamedBy, requireCertificateOf, requireTrustedCertificate } from './client-certificate.ts';

const AGENT = '0198c0de-0000-4000-8000-000000000001';
const OTHER = '0198c0de-0000-4000-8000-000000000002';

let dir: TempDir;
let pki: Pki;
let stranger: TestCertificate;
beforeAll(async () => {
  dir = await TempDir.make();
  pki = await makePki(dir.path);
  await using elsewhere = await TempDir.make();
  stranger = (await makePki(elsewhere.path)).client;
});
afterAll(() => dir[Symbol.asyncDispose]());

let harness: ServerHarness;
afterEach(() => harness[Symbol.asyncDispose]());

/** A server that says what each check makes of whoever asks. */
async function serve(clientAuth: 'off' | 'request' | 'require'): Promise<void> {
  const { certFile: cert, keyFile: key } = pki.server;
  const tls = { cert, key, ca: pki.ca.certFile, client_auth: clientAuth };
  harness = await ServerHarness.start({ listen: { tls } }, ({ socket }, response) => {
    try {
      requireTrustedCertificate(socket);
      requireCertificateOf(AGENT, socket);
      response.end('ok');
    } catch (error) {
      response.end(String(error));
    }
  });
}

/** What the server says to a client with that certificate; rejects when it does not get that far. */
async function ask(client: Pick<TestCertificate, 'cert' | 'key'> | undefined, maxVersion: 'TLSv1.2' | 'TLSv1.3') {
  const identity = client === undefined ? {} : { cert: client.cert, key: client.key };
  const socket = await harness.connectTls({ ca: pki.ca.cert, maxVersion, ...identity });
  const answer = once(socket, 'data');
  const hungUp = once(socket, 'close').then(() => Promise.reject(new Error('hung up')));
  socket.write('GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n');
  const [bytes] = await Promise.race([answer, hungUp]);
  hungUp.catch(() => undefined);
  return String(bytes).split('\r\n\r\n')[1];
}

const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;

it.each(VERSIONS)('demands a certificate of our CA in the handshake, over %s', async (version) => {
  await serve('require');
  await expect(ask(undefined, version)).rejects.toThrow();
  await expect(ask(stranger, version)).rejects.toThrow();
  expect(await ask(pki.client, version)).toBe('ok');
});

it.each(VERSIONS)('asks for a certificate, and checks the one it is given, over %s', async (version) => {
  await serve('request');
  expect(await ask(undefined, version)).toBe('ok');
  expect(await ask(pki.client, version)).toBe('ok');
  expect(await ask(stranger, version)).toMatch(/auth_failed|the client certificate is not trusted: /);
});

it('asks nobody when it is off', async () => {
  await serve('off');
  expect(await ask(stranger, 'TLSv1.3')).toBe('ok');
});

it.each<[what: string, names: ClientNames, expected: RegExp]>([
  ['its own id as common name', { commonName: AGENT }, /^ok$/],
  ['its own id as URI', { uris: [`urn:drawbridge:agent:${AGENT}`] }, /^ok$/],
  ['its own id in capitals', { uris: [`urn:uuid:${AGENT.toUpperCase()}`] }, /^ok$/],
  ['its own id among others', { uris: [`urn:uuid:${OTHER}`, `urn:uuid:${AGENT}`] }, /^ok$/],
  ['no id', { commonName: 'build-1', uris: ['https://build-1.test'] }, /^ok$/],
  ['the id of another as common name', { commonName: OTHER }, /names another agent/],
  ['the id of another as URI', { uris: [`urn:drawbridge:agent:${OTHER}`] }, /names another agent/],
])('binds an agent to a certificate with %s', async (_what, names, expected) => {
  await serve('require');
  const certificate = await makeClientCertificate(dir.path, 'agent', names);
  expect(await ask(certificate, 'TLSv1.3')).toMatch(expected);
});

it.each([
  ['a URI inside a quoted one', `URI:"urn:x, URI:urn:uuid:${AGENT}, urn:y"`, []],
  ['a DNS name', `DNS:urn:uuid:${AGENT}`, []],
  ['an id with a tail', `URI:urn:uuid:${AGENT}/x`, []],
  ['a URI after others', `DNS:"a, b", IP Address:192.0.2.1, URI:urn:uuid:${AGENT}`, [AGENT]],
])('reads %s as it was meant', (_what, subjectAltName, expected) => {
  expect([...agentsNamedBy({ subject: 'O=Test\nCN=build-1', subjectAltName })]).toEqual(expected);
});
