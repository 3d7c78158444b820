import { once } from 'node:events';
import { copyFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { TempDir, makePki } from '@drawbridge/testkit';
import type { Pki } from '@drawbridge/testkit';
import { memoryLog } from '@drawbridge/runtime/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { loadServerConfig } from '../config.ts';
import { untilClosed } from '../http/server-fixture.ts';
import { readServerTls } from '../http/server-tls.ts';
import { LeasedPorts } from '../tunnels/port-pool.ts';
import { LeasedListeners } from './leased-listeners.ts';
import type { LeasedPort } from './leased-listeners.ts';

const LEASES = 50;
const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';
const UPGRADE = 'GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

let dir: TempDir;
let pki: Pki;
beforeAll(async () => {
  dir = await TempDir.make();
  pki = await makePki(dir.path);
});
afterAll(() => dir[Symbol.asyncDispose]());

let upgraded: LeasedPort[];
let listeners: LeasedListeners;
let ports: LeasedPorts;
beforeEach(() => start({ cert: pki.server.certFile, key: pki.server.keyFile }));
afterEach(async () => {
  await ports[Symbol.asyncDispose]();
  await listeners[Symbol.asyncDispose]();
});

function start(tls: { cert: string; key: string } | undefined, limits: Record<string, unknown> = {}): void {
  upgraded = [];
  const listen = { ...(tls === undefined ? {} : { tls }), host: '127.0.0.1' };
  const config = loadServerConfig({ env: {}, overrides: { listen, limits } });
  listeners = new LeasedListeners({ config, log: memoryLog().log });
  listeners.handOver((_request, socket, _head, leased) => {
    upgraded.push(leased);
    socket.end('HTTP/1.1 101 Switching Protocols\r\n\r\n');
  });
  // Ports of the tests' own, below those that the system gives to whoever asks for any.
  ports = new LeasedPorts({ first: 21_000, last: 22_999 }, listeners.bind);
}

async function dialTls(port: number): Promise<TLSSocket> {
  const socket = connectTls({ port, host: '127.0.0.1', ca: pki.ca.cert });
  socket.on('error', () => undefined);
  onTestFinished(() => void socket.destroy());
  await once(socket, 'secureConnect');
  return socket;
}

async function dial(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' });
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  return socket;
}

async function said(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  return untilClosed(socket);
}

describe('with leases of fifty tunnels', () => {
  it('listens with TLS on fifty ports, and on none of them afterwards', async () => {
    const taken = await Promise.all(Array.from({ length: LEASES }, (_, index) => ports.take(`t${index}`)));
    expect(new Set(taken).size).toBe(LEASES);
    for (const [index, port] of taken.entries()) {
      expect(await said(await dialTls(port), UPGRADE)).toContain('101');
      expect(upgraded.at(-1)).toEqual({ port, tunnelId: `t${index}` });
    }
    await Promise.all(taken.map((_, index) => ports.release(`t${index}`)));
    for (const port of taken) await expect(dial(port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });
});

it('takes the next port when somebody else has one', async () => {
  const first = await ports.take('t1');
  const others = new LeasedPorts({ first, last: first + 50 }, listeners.bind);
  const next = await others.take('t2');
  expect(next).toBeGreaterThan(first);
  await others[Symbol.asyncDispose]();
});

it('answers any plain request with 404, and hangs up', async () => {
  const answer = await said(await dialTls(await ports.take('t1')), GET);
  expect(answer).toMatch(/^HTTP\/1\.1 404 /);
  expect(answer).toContain('"code":"not_found"');
  expect(answer).toMatch(/content-type: application\/json/i);
  expect(upgraded).toEqual([]);
});

it('says of what is no HTTP that it is none', async () => {
  expect(await said(await dialTls(await ports.take('t1')), 'nonsense\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
});

it('closes connections that are no tunnel yet with its port', async () => {
  const socket = await dialTls(await ports.take('t1'));
  const closed = untilClosed(socket);
  await ports.release('t1');
  expect(await closed).toBe('');
});

it('shows a new certificate on the ports there are and on later ones, whatever its files hold by then', async () => {
  const { cert, key } = { cert: dir.join('live.crt'), key: dir.join('live.key') };
  await copyFile(pki.server.certFile, cert);
  await copyFile(pki.server.keyFile, key);
  start({ cert, key });
  await rm(cert);
  const before = await ports.take('t1');
  const next = readServerTls({ cert: pki.impostor.certFile, key: pki.impostor.keyFile });
  listeners.useCertificate(next);
  for (const port of [before, await ports.take('t2')]) {
    const shown = (await dialTls(port)).getPeerX509Certificate();
    expect(shown?.fingerprint256).toBe(next.fingerprint);
  }
});

it('does not wait for a tunnel that came in by its port', async () => {
  listeners.handOver((_request, socket) => {
    socket.on('error', () => undefined);
    socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n');
    onTestFinished(() => void socket.destroy());
  });
  const socket = await dialTls(await ports.take('t1'));
  socket.write(UPGRADE);
  await once(socket, 'data');
  await ports.release('t1');
  expect(socket.closed).toBe(false);
});

it('keeps the bounds of the main listener', async () => {
  start(undefined, { connections: 1 });
  const port = await ports.take('t1');
  const first = await dial(port);
  const second = connect({ port, host: '127.0.0.1' });
  second.on('error', () => undefined);
  await new Promise((resolve) => second.once('close', resolve));
  expect(first.closed).toBe(false);
});
