import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { duplexPair } from 'node:stream';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { TempDir, eventually, listeningPort, makePki, settle } from '@drawbridge/testkit';
import type { Pki } from '@drawbridge/testkit';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readChunks } from './read-chunks.ts';

let pki: Pki;
beforeAll(async () => {
  await using dir = await TempDir.make();
  pki = await makePki(dir.path);
});

let near: Socket;
let far: Socket;
let server: Server;

/** `near` is what a server has accepted. */
async function connectPair(carrier: 'TCP' | 'TLS'): Promise<void> {
  const options = { allowHalfOpen: true, pauseOnConnect: true };
  server = carrier === 'TCP' ? createServer(options) : createTlsServer({ ...options, ...pki.server });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const to = { host: '127.0.0.1', port: listeningPort(server) };
  const accepted = once(server, carrier === 'TCP' ? 'connection' : 'secureConnection');
  far = carrier === 'TCP' ? connect(to) : connectTls({ ...to, rejectUnauthorized: false });
  [near] = await accepted;
  near.pause();
  for (const socket of [near, far]) socket.on('error', () => undefined);
}

/** As a Node would be that keeps no place for a buffer there. */
function withoutBuffer(): void {
  for (const slot of Object.getOwnPropertySymbols(near)) {
    if (slot.description === 'kBufferCb') Reflect.deleteProperty(near, slot);
  }
}

describe.each([
  ['TCP', 'into one buffer', 1],
  ['TLS', 'into one buffer', 1],
  ['TCP', 'into memory of each chunk', 0],
  ['TLS', 'into memory of each chunk', 0],
] as const)('reading %s %s', (carrier, _how, buffers) => {
  beforeEach(async () => {
    await connectPair(carrier);
    if (buffers === 0) withoutBuffer();
  });
  afterEach(async () => {
    near.destroy();
    far.destroy();
    server.close();
    await once(server, 'close');
  });

  it('gives what was there before, then what comes, then the end', async () => {
    const heard: string[] = [];
    near.on('end', () => heard.push('(end)'));
    near.unshift('before ');
    readChunks(near, (chunk) => heard.push(String(chunk)));
    near.resume();
    far.end('and after');
    await once(near, 'end');
    expect(heard).toEqual(['before ', 'and after', '(end)']);
  });

  it('gives nothing before it is resumed, and what comes behind a pause only when it is again', async () => {
    const heard: string[] = [];
    near.unshift('before ');
    readChunks(near, (chunk) => {
      heard.push(String(chunk));
      near.pause();
    });
    expect(heard).toEqual([]);
    near.resume();
    far.write('after');
    for (let turn = 0; turn < 5; turn += 1) await settle();
    expect(heard).toEqual(['before ']);
    near.resume();
    await eventually(() => heard.length === 2, { what: 'the rest' });
    expect(heard).toEqual(['before ', 'after']);
  });

  it('stops while it is paused, and loses nothing', async () => {
    let bytes = 0;
    let goOn = () => undefined as unknown;
    readChunks(near, (chunk) => {
      bytes += chunk.byteLength;
      near.pause();
      goOn();
    });
    near.resume();
    far.write(Buffer.alloc(1_000_000));
    await eventually(() => bytes, { what: 'the first chunk', until: (count) => count > 0 });
    for (let turn = 0; turn < 5; turn += 1) await settle();
    // One read of the system, which TLS may have decrypted as a whole.
    expect(bytes).toBeLessThanOrEqual(2 * 65_536);
    goOn = () => setImmediate(() => near.resume());
    near.resume();
    await eventually(() => bytes, { what: 'all of it', until: (count) => count === 1_000_000 });
  });

  it('leaves no memory behind', async () => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    readChunks(near, (chunk) => {
      chunks.push(chunk);
      bytes += chunk.byteLength;
    });
    near.resume();
    far.write(Buffer.alloc(3_000_000));
    await eventually(() => bytes === 3_000_000, { what: 'all of it' });
    const memory = new Set(chunks.map(({ buffer }) => buffer).filter(({ byteLength }) => byteLength > 0));
    expect(memory.size).toBe(buffers);
  });
});

it('leaves alone what it reads of a stream that is no network', async () => {
  const [here, there] = duplexPair();
  const heard: Buffer[] = [];
  readChunks(here, (chunk) => heard.push(chunk));
  here.resume();
  const sent = Buffer.from(new Uint8Array(5).fill(7).buffer);
  there.write(sent);
  await settle();
  expect(sent).toEqual(Buffer.alloc(5, 7));
  expect(heard).toEqual([sent]);
});
