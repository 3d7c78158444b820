import { copyFile, rm, symlink, writeFile } from 'node:fs/promises';
import { FakeClock, TempDir, makePki, pinOf } from '@drawbridge/testkit';
import type { Pki, TestCertificate } from '@drawbridge/testkit';
import { createLogger } from '@drawbridge/runtime';
import { memoryLog } from '@drawbridge/runtime/testing';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { watchCertificate } from './certificate-watch.ts';
import { ServerHarness } from './server-fixture.ts';

const POLL_MS = 5_000;
const DAY_MS = 86_400_000;

let dir: TempDir;
let pki: Pki;
beforeAll(async () => {
  dir = await TempDir.make();
  pki = await makePki(dir.path);
});
afterAll(() => dir[Symbol.asyncDispose]());

let files: { cert: string; key: string };
let harness: ServerHarness;
let clock: FakeClock;
let lines: Record<string, unknown>[];
let stop: AbortController;
let watching: Promise<void>;
beforeEach(async () => {
  files = { cert: dir.join('live.crt'), key: dir.join('live.key') };
  await put(pki.server);
  harness = await ServerHarness.start({ listen: { tls: files } });
  clock = new FakeClock();
  // The certificates are good for two days from now, by the machine's clock.
  clock.skew(new Date().getTime() - clock.now());
  stop = new AbortController();
  const memory = memoryLog();
  lines = memory.lines;
  watching = watchCertificate({ server: harness.server, files, clock, log: memory.log }, stop.signal);
});
afterEach(async () => {
  stop.abort();
  await watching;
  expect(clock.pending).toBe(0);
  await harness[Symbol.asyncDispose]();
  await rm(files.cert, { force: true });
  await rm(files.key, { force: true });
});

async function put({ certFile, keyFile }: Pick<TestCertificate, 'certFile' | 'keyFile'>): Promise<void> {
  await copyFile(certFile, files.cert);
  await copyFile(keyFile, files.key);
}

/** The pin of what a new connection is shown. */
async function shown(): Promise<string> {
  const socket = await harness.connectTls({ ca: pki.ca.cert });
  const certificate = socket.getPeerX509Certificate();
  socket.destroy();
  return certificate === undefined ? 'none' : pinOf(certificate.toString());
}

/** Two looks: what is new, and that it stays so. */
async function look(): Promise<void> {
  await clock.advance(POLL_MS);
  await clock.advance(POLL_MS);
}

function said(message: string): Record<string, unknown>[] {
  return lines.filter(({ msg }) => msg === message);
}

it('shows the new certificate to new connections, and leaves the old ones alone', async () => {
  const old = await harness.connectTls({ ca: pki.ca.cert });
  await put(pki.impostor);
  await look();
  expect(await shown()).toBe(pki.impostor.pin);
  expect(said('certificate replaced')).toMatchObject([{ fingerprint: expect.stringMatching(/^(..:){31}..$/) }]);
  const answered = new Promise((resolve) => old.once('data', (data) => resolve(String(data).split('\r\n')[0])));
  old.write('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n');
  expect(await answered).toBe('HTTP/1.1 200 OK');
});

it('follows a link that is set anew, as mounted secrets are', async () => {
  await rm(files.cert);
  await rm(files.key);
  await symlink(pki.impostor.certFile, files.cert);
  await symlink(pki.impostor.keyFile, files.key);
  await look();
  expect(await shown()).toBe(pki.impostor.pin);
});

it('does not take half of a pair that is being written', async () => {
  await copyFile(pki.impostor.certFile, files.cert);
  await clock.advance(POLL_MS);
  await copyFile(pki.impostor.keyFile, files.key);
  await look();
  expect(said('the new certificate cannot be used: the old one stays')).toEqual([]);
  expect(await shown()).toBe(pki.impostor.pin);
});

it.each<[what: string, breakIt: () => Promise<void>]>([
  ['a certificate with the key of another', () => copyFile(pki.impostor.certFile, files.cert)],
  ['a file that is no certificate', () => writeFile(files.cert, 'hello')],
  ['an empty key', () => writeFile(files.key, '')],
  ['no file at all', () => rm(files.cert)],
])('refuses %s with one line, keeps the old one, and takes a good one later', async (_what, breakIt) => {
  await breakIt();
  await look();
  await look();
  expect(await shown()).toBe(pki.server.pin);
  const refused = said('the new certificate cannot be used: the old one stays');
  expect(refused).toHaveLength(1);
  expect(JSON.stringify(refused)).not.toContain('PRIVATE KEY');
  await put(pki.impostor);
  await look();
  expect(await shown()).toBe(pki.impostor.pin);
});

it('refuses one that has expired', async () => {
  clock.skew(3 * DAY_MS);
  await put(pki.impostor);
  await look();
  expect(await shown()).toBe(pki.server.pin);
  expect(said('the new certificate cannot be used: the old one stays')).toHaveLength(1);
});

it('warns once a day of a certificate in its last two weeks', async () => {
  const warned = () => said('the certificate expires soon, or has').length;
  await clock.advance(POLL_MS);
  expect(warned()).toBe(1);
  await clock.advance(DAY_MS - 3 * POLL_MS);
  expect(warned()).toBe(1);
  await clock.advance(4 * POLL_MS);
  expect(warned()).toBe(2);
});

it('says which certificate it begins with', () => {
  expect(said('certificate in use')).toMatchObject([{ validTo: expect.stringMatching(/Z$/) }]);
});

it('has nothing to watch without TLS', async () => {
  await using plain = await ServerHarness.start();
  const log = createLogger({ level: 'info', sink: { write: () => true } });
  await watchCertificate({ server: plain.server, files: undefined, clock, log }, stop.signal);
});
