import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makePki, type Pki, pinOf, type TestCertificate } from './certificates.ts';
import { listeningPort } from './listening-port.ts';
import { requires } from './requirement.ts';
import { TempDir } from './temp-dir.ts';

describe.runIf(requires('openssl'))('a throw-away PKI', () => {
  let dir: TempDir;
  let pki: Pki;

  beforeAll(async () => {
    dir = await TempDir.make();
    pki = await makePki(dir.path, { names: ['control.test'], addresses: ['10.77.0.1'] });
  });

  afterAll(() => dir[Symbol.asyncDispose]());

  it.each(['localhost', 'control.test'])('names %s in both server certificates', (name) => {
    for (const { cert } of [pki.server, pki.impostor]) expect(new X509Certificate(cert).checkHost(name)).toBe(name);
  });

  it.each(['127.0.0.1', '10.77.0.1'])('names %s in both server certificates', (ip) => {
    for (const { cert } of [pki.server, pki.impostor]) expect(new X509Certificate(cert).checkIP(ip)).toBe(ip);
  });

  it('gives each certificate a pin of its own, as openssl computes it', () => {
    const pins = [pki.ca, pki.server, pki.impostor, pki.client].map(({ pin }) => pin);
    expect(new Set(pins).size).toBe(4);
    const script = `openssl x509 -in "$1" -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | openssl base64`;
    const { stdout } = spawnSync('sh', ['-c', script, 'sh', pki.server.certFile], { encoding: 'utf8' });
    expect(pki.server.pin).toBe(`sha256/${stdout.trim()}`);
    expect(pinOf(pki.server.cert)).toBe(pki.server.pin);
  });

  it('keeps keys from other users', async () => {
    for (const { keyFile } of [pki.ca, pki.server, pki.client]) expect((await stat(keyFile)).mode & 0o077).toBe(0);
  });

  it.each(['server', 'impostor'] as const)('lets a client verify the %s, and the other way round', async (name) => {
    expect(await handshake(pki[name], pki.client)).toBe(true);
  });

  it('refuses a server certificate from a client', async () => {
    expect(await handshake(pki.server, pki.server)).toBe(false);
  });

  /** True when both sides accepted each other. */
  async function handshake(serverSide: TestCertificate, clientSide: TestCertificate): Promise<boolean> {
    const { ca } = pki;
    const server = createServer({ ca: ca.cert, cert: serverSide.cert, key: serverSide.key, requestCert: true });
    server.on('tlsClientError', () => {});
    server.on('secureConnection', (socket: TLSSocket) => socket.end(String(socket.authorized)));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const port = listeningPort(server);
    const client = connect({ port, host: '127.0.0.1', ca: ca.cert, cert: clientSide.cert, key: clientSide.key });
    let answer = '';
    client.on('data', (bytes) => (answer += String(bytes)));
    client.on('error', () => {});
    const closed = new Promise((resolve) => client.on('close', resolve));
    await closed;
    server.close();
    return answer === 'true';
  }
});
