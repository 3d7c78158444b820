import { FakeClock, type Pki, TempDir, eventually, makePki } from '@drawbridge/testkit';
import { once } from 'node:events';
import { duplexPair } from 'node:stream';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Notes } from '../notes-fixture.ts';
import { itIsAMessageSocket } from '../socket-contract-fixture.ts';
import { FrameHarness, MAX_PAYLOAD_BYTES } from './frame-socket-fixture.ts';
import { frameSocket } from './frame-socket.ts';
import { rawFrame } from './raw-wire-fixture.ts';

const TOO_LARGE = `a message of more than ${MAX_PAYLOAD_BYTES} bytes`;

describe.each(['TCP', 'TLS'])('over %s', (carrier) => {
  let pki: Pki;
  let harness: FrameHarness;
  beforeAll(async () => {
    await using dir = await TempDir.make();
    pki = await makePki(dir.path);
  });
  beforeEach(async () => {
    harness = await FrameHarness.listening(carrier === 'TLS' ? pki.server : undefined);
  });
  afterEach(() => harness[Symbol.asyncDispose]());

  describe('as the server', () => {
    itIsAMessageSocket(() => harness.accepting(), TOO_LARGE);
  });

  describe('as the client', () => {
    itIsAMessageSocket(() => harness.dialling(), TOO_LARGE);
  });

  it.each(['accepting', 'dialling'] as const)('sends two parts as one message (%s)', async (side) => {
    const { socket, peer } = await harness[side]();
    const received: unknown[] = [];
    peer.on('message', (data) => received.push(data));
    const header = Buffer.from('twelve bytes');
    for (const length of [0, 1, 4_095, 4_096, 65_536]) {
      const payload = Buffer.alloc(length, 'p');
      socket.sendParts?.(header, payload);
      await eventually(() => received.length === 1, { what: `a message with ${length} bytes` });
      expect(received.splice(0)).toEqual([Buffer.concat([header, payload])]);
      expect(payload).toEqual(Buffer.alloc(length, 'p'));
    }
    expect(String(header)).toBe('twelve bytes');
  });

  it('delivers what arrived before the connection was lost, to who listens after it', async () => {
    const { socket, peer, connection } = await harness.accepting();
    peer.send('last words');
    await eventually(() => connection.readableLength > 0, { what: 'the words' });
    connection.destroy();
    await once(connection, 'close');
    const heard: unknown[] = [];
    socket.listen({ message: (message) => heard.push(message), closed: ({ code }) => heard.push(code) });
    await eventually(() => heard.length === 2, { what: 'the end' });
    expect(heard).toEqual(['last words', 1006]);
  });
});

/** A frame socket that a raw stream of bytes talks to. */
function onPair() {
  const [near, far] = duplexPair();
  const notes = new Notes();
  const clock = new FakeClock();
  const socket = frameSocket(near, { role: 'client', maxPayloadBytes: 1_000, clock });
  socket.listen(notes);
  return { socket, near, far, notes, clock };
}

const PING = rawFrame({ opcode: 9, payload: Buffer.alloc(100, 'p') });

it('lets no answers pile up for a peer that pings and does not read', async () => {
  const { near, far } = onPair();
  for (let index = 0; index < 1_000; index += 1) far.write(PING);
  far.write(rawFrame({ opcode: 9, payload: Buffer.from('last') }));
  await eventually(() => far.writableLength === 0, { what: 'the pings to be read' });
  expect(near.writableLength).toBeLessThan(2 * 106);
});

it('answers the last ping when the peer reads again', async () => {
  const { far } = onPair();
  for (let index = 0; index < 1_000; index += 1) far.write(PING);
  far.write(rawFrame({ opcode: 9, payload: Buffer.from('last') }));
  await eventually(() => far.writableLength === 0, { what: 'the pings to be read' });
  const said: Buffer[] = [];
  far.on('data', (chunk: Buffer) => said.push(chunk));
  const isLast = () => {
    const all = Buffer.concat(said);
    const [key, masked] = [all.subarray(-8, -4), all.subarray(-4)];
    return String(Buffer.from(masked.map((byte, index) => byte ^ (key[index] ?? 0)))) === 'last';
  };
  await eventually(isLast, { what: 'the last pong' });
  expect(Buffer.concat(said).byteLength).toBeLessThan(300 * 106);
});

it('hears nothing after it was terminated, not even the rest of a chunk', async () => {
  const [near, far] = duplexPair();
  const socket = frameSocket(near, { role: 'client', maxPayloadBytes: 1_000, clock: new FakeClock() });
  const heard: unknown[] = [];
  socket.listen({
    message: (message) => {
      heard.push(message);
      socket.terminate();
    },
    closed: ({ code }) => heard.push(code),
  });
  const frame = rawFrame({ opcode: 1, payload: Buffer.from('one') });
  far.write(Buffer.concat([frame, frame]));
  await eventually(() => heard.length > 1, { what: 'the end' });
  expect(heard).toEqual(['one', 1006]);
});

it('still hears messages while it waits for the answer to its goodbye', async () => {
  const { socket, far, notes } = onPair();
  socket.close(1000, 'bye');
  far.write(rawFrame({ opcode: 1, payload: Buffer.from('sent before') }));
  far.write(rawFrame({ opcode: 8, payload: Buffer.of(0x03, 0xe8) }));
  far.end();
  far.resume();
  await eventually(() => notes.ends.length > 0, { what: 'the end' });
  expect(notes.messages).toEqual(['sent before']);
  expect(notes.ends).toEqual([{ code: 1000, reason: '' }]);
});

it('drops a peer that said goodbye and does not hang up', async () => {
  const { far, notes, clock } = onPair();
  far.write(rawFrame({ opcode: 8, payload: Buffer.of(0x03, 0xe8) }));
  await eventually(() => clock.pending === 1, { what: 'the goodbye' });
  await clock.advance(2_000);
  await eventually(() => notes.ends.length > 0, { what: 'the end' });
  expect(notes.ends).toEqual([{ code: 1000, reason: '' }]);
});

it('says what broke its connection', async () => {
  const { near, notes, clock } = onPair();
  near.destroy(new Error('reset'));
  await eventually(() => notes.ends.length > 0, { what: 'the end' });
  expect(notes.ends).toEqual([{ code: 1006, reason: '', error: new Error('reset') }]);
  expect(clock.pending).toBe(0);
});

it('can be put on a connection that is closed already', async () => {
  const [near] = duplexPair();
  near.destroy();
  await once(near, 'close');
  const notes = new Notes();
  frameSocket(near, { role: 'client', maxPayloadBytes: 1_000 }).listen(notes);
  await eventually(() => notes.ends.length > 0, { what: 'the end' });
  expect(notes.ends).toEqual([{ code: 1006, reason: '' }]);
});
