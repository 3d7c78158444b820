import type { MessageSocket } from '@drawbridge/link';
import { type FakeClock, eventually } from '@drawbridge/testkit';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { expect, it } from 'vitest';
import type { WebSocket } from 'ws';
import { Notes } from './notes-fixture.ts';

/** A MessageSocket that is being tested, and the bare WebSocket of `ws` that talks to it. */
export interface ContractPair {
  readonly socket: MessageSocket;
  readonly peer: WebSocket;
  readonly clock: FakeClock;
  /** What the socket is on. */
  readonly connection: Duplex;
}

const closeOf = async (peer: WebSocket) => {
  const [code, reason] = await once(peer, 'close');
  return { code: Number(code), reason: String(reason) };
};

/**
 * For tests: what MessageSocket promises, said once for every implementation. A message of more than 256 KiB is too large for
 * the sockets of `pair`, and then `tooLarge` is in their error.
 */
export function itIsAMessageSocket(pair: () => Promise<ContractPair>, tooLarge: string): void {
  it('delivers strings and bytes in order, what came before somebody listened first', async () => {
    const { socket, peer } = await pair();
    peer.send('early');
    peer.send(Uint8Array.of(1, 2));
    // While another connection is made, both have long arrived.
    await pair();
    const notes = new Notes();
    socket.listen(notes);
    peer.send('late');
    await eventually(() => notes.messages.length === 3, { what: 'three messages' });
    expect(notes.messages).toEqual(['early', Buffer.of(1, 2), 'late']);
  });

  it('sends strings as text and bytes as binary', async () => {
    const { socket, peer } = await pair();
    const received: [string, boolean][] = [];
    peer.on('message', (data, isBinary) =>
      received.push([Buffer.isBuffer(data) ? data.toString() : 'no Buffer', isBinary]),
    );
    socket.send('text');
    socket.send(Buffer.from('bytes'));
    await eventually(() => received.length === 2, { what: 'two messages' });
    expect(received).toEqual([
      ['text', false],
      ['bytes', true],
    ]);
  });

  it.each([0, 1, 125, 126, 5_000, 65_535, 65_536, 200_000])(
    'carries %i bytes there and back, and leaves those it was given as they were',
    async (length) => {
      const { socket, peer } = await pair();
      const notes = new Notes();
      socket.listen(notes);
      const bytes = Buffer.from(Array.from({ length }, (_, index) => index % 251));
      peer.on('message', (data) => peer.send(data));
      const given = Buffer.from(bytes);
      socket.send(given);
      await eventually(() => notes.messages.length === 1, { what: 'the bytes' });
      expect(Buffer.compare(Buffer.from(notes.messages[0] ?? ''), bytes)).toBe(0);
      expect(Buffer.compare(given, bytes)).toBe(0);
    },
  );

  it('carries many messages at once, each as it was', async () => {
    const { socket, peer } = await pair();
    const received: Buffer[] = [];
    const notes = new Notes();
    socket.listen(notes);
    peer.on('message', (data) => Buffer.isBuffer(data) && received.push(Buffer.from(data)));
    const sizes = Array.from({ length: 120 }, (_, index) => (index % 3 === 0 ? index : 30_000 + index * 300));
    const expected = sizes.map((size, index) => Buffer.alloc(size, index + 1));
    for (const bytes of expected) {
      socket.send(Buffer.from(bytes));
      peer.send(bytes);
    }
    await eventually(() => received.length === 120 && notes.messages.length === 120, { what: 'all messages' });
    expect(Buffer.compare(Buffer.concat(received), Buffer.concat(expected))).toBe(0);
    const heard = notes.messages.map((message) => Buffer.from(message));
    expect(heard.map((message) => message.byteLength)).toEqual(sizes);
    expect(Buffer.compare(Buffer.concat(heard), Buffer.concat(expected))).toBe(0);
  });

  it('says drained once when everything sent has left', async () => {
    const { socket, peer } = await pair();
    const notes = new Notes();
    socket.listen(notes);
    for (let index = 0; index < 5; index += 1) socket.send('x'.repeat(100));
    const answered = once(peer, 'pong');
    peer.ping();
    await answered;
    // The answer to the ping counts as buffered until the network has said that it took it.
    await eventually(() => notes.drains > 0 && socket.bufferedBytes === 0, { what: 'drained' });
    expect(notes.drains).toBe(1);
  });

  it('keeps bytes that a slow reader does not take, and drains when it does', async () => {
    const { socket, peer } = await pair();
    const levels: number[] = [];
    socket.listen({ message() {}, closed() {}, drained: () => levels.push(socket.bufferedBytes) });
    peer.pause();
    for (let index = 0; index < 200; index += 1) socket.send(new Uint8Array(65_536));
    expect(socket.bufferedBytes).toBeGreaterThan(0);
    peer.resume();
    await eventually(() => levels.length > 0, { what: 'drained' });
    expect(levels).toEqual([0]);
  });

  it('answers a ping, and takes it for life', async () => {
    const { socket, peer } = await pair();
    const notes = new Notes();
    socket.listen(notes);
    const answered = once(peer, 'pong');
    peer.ping('p');
    expect(String(await answered)).toBe('p');
    expect(notes.lives).toBeGreaterThan(0);
    expect(notes.messages).toEqual([]);
  });

  it('takes half a message for life', async () => {
    const { socket, peer } = await pair();
    const notes = new Notes();
    socket.listen(notes);
    peer.send('first part', { fin: false });
    await eventually(() => notes.lives > 0, { what: 'a sign of life' });
    expect(notes.messages).toEqual([]);
  });

  it('reads nothing while it is paused', async () => {
    const { socket, peer } = await pair();
    const notes = new Notes();
    socket.listen(notes);
    socket.pause();
    peer.send('waits');
    // The answer to a ping would be behind it: only what is sent from here goes round.
    const sent = once(peer, 'message');
    socket.send('still sends');
    await sent;
    expect(notes.messages).toEqual([]);
    socket.resume();
    await eventually(() => notes.messages.length === 1, { what: 'the message' });
  });

  it('hands on code and reason of the peer, once', async () => {
    const { socket, peer } = await pair();
    const notes = new Notes();
    socket.listen(notes);
    const closed = closeOf(peer);
    peer.close(4001, 'superseded');
    await eventually(() => notes.ends.length > 0, { what: 'the end' });
    socket.terminate();
    socket.close(1000, '');
    expect(notes.ends).toEqual([{ code: 4001, reason: 'superseded' }]);
    expect(await closed).toEqual({ code: 4001, reason: 'superseded' });
  });

  it('says 1005 when the peer closed without a code', async () => {
    const { socket, peer } = await pair();
    const notes = new Notes();
    socket.listen(notes);
    peer.close();
    await eventually(() => notes.ends.length > 0, { what: 'the end' });
    expect(notes.ends).toEqual([{ code: 1005, reason: '' }]);
  });

  it('says 1006 when no close frame came', async () => {
    const { socket, peer } = await pair();
    const notes = new Notes();
    socket.listen(notes);
    peer.terminate();
    await eventually(() => notes.ends.length > 0, { what: 'the end' });
    expect(notes.ends[0]?.code).toBe(1006);
  });

  it('tells an end that came before anybody listened', async () => {
    const { socket, connection } = await pair();
    socket.terminate();
    await once(connection, 'close');
    const notes = new Notes();
    socket.listen(notes);
    await eventually(() => notes.ends.length > 0, { what: 'the end' });
    expect(notes.ends).toEqual([{ code: 1006, reason: '' }]);
  });

  it('says goodbye with code and reason, even while it is paused', async () => {
    const { socket, peer, clock } = await pair();
    const notes = new Notes();
    socket.listen(notes);
    socket.pause();
    socket.close(1013, 'restarting');
    expect(await closeOf(peer)).toEqual({ code: 1013, reason: 'restarting' });
    await eventually(() => notes.ends.length > 0, { what: 'the end' });
    expect(notes.ends).toEqual([{ code: 1013, reason: 'restarting' }]);
    expect(clock.pending).toBe(0);
  });

  it('says what it was given before its goodbye', async () => {
    const { socket, peer } = await pair();
    socket.listen(new Notes());
    let receivedBytes = 0;
    peer.on('message', (data) => (receivedBytes += Buffer.isBuffer(data) ? data.byteLength : 0));
    for (let index = 0; index < 20; index += 1) socket.send(new Uint8Array(65_536));
    socket.close(1000, 'done');
    expect(await closeOf(peer)).toEqual({ code: 1000, reason: 'done' });
    expect(receivedBytes).toBe(20 * 65_536);
  });

  it('drops a peer that does not answer a close', async () => {
    const { socket, peer, clock } = await pair();
    const notes = new Notes();
    socket.listen(notes);
    peer.pause();
    socket.close(1000, 'bye');
    await clock.advance(1_999);
    expect(notes.ends).toEqual([]);
    await clock.advance(1);
    await eventually(() => notes.ends.length > 0, { what: 'the end' });
    expect(notes.ends[0]?.code).toBe(1006);
  });

  it('keeps what broke it, and drops a peer that ignores it', async () => {
    const { socket, peer, clock } = await pair();
    const notes = new Notes();
    socket.listen(notes);
    peer.on('error', () => {});
    peer.send('x'.repeat(256 * 1024 + 1));
    peer.pause();
    await eventually(() => clock.pending === 1, { what: 'the limit to be noticed' });
    await clock.advance(2_000);
    await eventually(() => notes.ends.length > 0, { what: 'the end' });
    expect(notes.ends[0]?.error?.message).toBe(tooLarge);
  });

  it.each([
    [1005, 1000],
    [1004, 1011],
    [1006, 1011],
    [1015, 1011],
    [999, 1011],
    [2000, 1011],
    [5000, 1011],
    [1014, 1014],
    [3000, 3000],
    [4999, 4999],
  ])('asked to close with %i, sends %i', async (asked, sent) => {
    const { socket, peer } = await pair();
    socket.listen(new Notes());
    socket.close(asked, '');
    expect((await closeOf(peer)).code).toBe(sent);
  });

  it.each([
    ['a'.repeat(200), 'a'.repeat(123)],
    ['ä'.repeat(100), 'ä'.repeat(61)],
    [`a${'🌉'.repeat(40)}`, `a${'🌉'.repeat(30)}`],
    ['short', 'short'],
  ])('cuts a reason at a character', async (reason, cut) => {
    const { socket, peer } = await pair();
    socket.listen(new Notes());
    socket.close(1000, reason);
    expect((await closeOf(peer)).reason).toBe(cut);
  });

  it('does nothing when it is closed', async () => {
    const { socket, peer } = await pair();
    const notes = new Notes();
    socket.listen(notes);
    const received: unknown[] = [];
    peer.on('message', (data) => received.push(data));
    socket.close(1000, '');
    socket.send('too late');
    socket.close(1001, 'again');
    expect((await closeOf(peer)).code).toBe(1000);
    expect(received).toEqual([]);
    expect(socket.bufferedBytes).toBe(0);
  });

  it('has one listener', async () => {
    const { socket } = await pair();
    socket.listen(new Notes());
    expect(() => socket.listen(new Notes())).toThrow('one listener');
  });
}
