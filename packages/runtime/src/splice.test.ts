import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { Channel } from '@drawbridge/link';
import { CloseReason, LIMITS } from '@drawbridge/protocol';
import { FakeClock, eventually, settle, tunnelPair } from '@drawbridge/testkit';
import type { TunnelPair } from '@drawbridge/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readAll, tcpPair } from './socket-fixture.ts';
import { splice } from './splice.ts';
import type { SpliceEnd } from './splice.ts';

const MIB = 1024 * 1024;
const EVENTS = ['data', 'end', 'drain', 'finish', 'close', 'error'] as const;

let tunnel: TunnelPair;
let sockets: Socket[];
beforeEach(() => {
  tunnel = tunnelPair();
  sockets = [];
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await tunnel[Symbol.asyncDispose]();
});

async function pair(options?: { allowHalfOpen: boolean }): Promise<{ a: Socket; b: Socket }> {
  const made = await tcpPair(options);
  sockets.push(made.a, made.b);
  return made;
}

/** A client and a target, with a splice, a channel and a splice between them. */
async function bridge(options?: { allowHalfOpen: boolean }) {
  const channel = await tunnel.open();
  const near = await pair(options);
  const far = await pair(options);
  const ends = Promise.all([splice(channel.near, near.b), splice(channel.far, far.b)]);
  return { client: near.a, nearSocket: near.b, farSocket: far.b, target: far.a, channel, ends };
}

function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function errorOf(socket: Socket): Promise<string | undefined> {
  return new Promise((resolve) => {
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
  });
}

describe('both ways', () => {
  it('carries many bytes at the same time, unchanged, counts them, and ends with 0', async () => {
    const { client, target, ends } = await bridge();
    const up = randomBytes(12 * MIB);
    const down = randomBytes(8 * MIB);
    client.end(up);
    target.end(down);
    const [gotUp, gotDown] = await Promise.all([readAll(target), readAll(client)]);
    expect([hash(gotUp), hash(gotDown)]).toEqual([hash(up), hash(down)]);
    const counts = { bytesToChannel: up.length, bytesToSocket: down.length };
    const [near, far] = await ends;
    expect(near).toMatchObject({ end: { code: CloseReason.Ok }, error: undefined, ...counts });
    expect(far).toMatchObject({ bytesToChannel: down.length, bytesToSocket: up.length });
  });

  it.each([{ allowHalfOpen: true }, { allowHalfOpen: false }])(
    'passes an end on and lets the other direction go on, with sockets of %o',
    async (options) => {
      const { client, target, ends } = await bridge(options);
      client.end('question');
      const question = await readAll(target);
      target.end(`answer to ${question.toString()}`);
      expect((await readAll(client)).toString()).toBe('answer to question');
      expect((await ends).map(({ end }) => end.code)).toEqual([CloseReason.Ok, CloseReason.Ok]);
    },
  );

  it('passes the end of the target on while the client still talks', async () => {
    const { client, target, ends } = await bridge();
    target.end('greeting');
    expect((await readAll(client)).toString()).toBe('greeting');
    client.end('and yet it moves');
    expect((await readAll(target)).toString()).toBe('and yet it moves');
    await ends;
  });

  it('leaves no socket open, no channel, and no listener of its own', async () => {
    const channel = await tunnel.open();
    const { a, b } = await pair();
    const before = EVENTS.map((event) => b.listenerCount(event));
    // As a server hands it over that pauses what connects.
    b.pause();
    const over = splice(channel.near, b);
    expect(EVENTS.map((event) => b.listenerCount(event))).not.toEqual(before);
    a.end('x');
    channel.far.end();
    a.resume();
    await over;
    expect(EVENTS.map((event) => b.listenerCount(event))).toEqual(before);
    expect(b.destroyed).toBe(true);
    await eventually(() => (channel.far.close({ code: 0, reason: '' }), tunnel.agent.channels === 0), {
      what: 'the far end to be over',
    });
    expect(tunnel.operator.channels).toBe(0);
  });

  it('serves a socket that ended before it came', async () => {
    const channel = await tunnel.open();
    const { a, b } = await pair();
    a.end();
    b.resume();
    await once(b, 'end');
    const over = splice(channel.near, b);
    expect(await channel.far.read()).toEqual({ kind: 'fin' });
    channel.far.end();
    expect((await over).end.code).toBe(CloseReason.Ok);
  });

  it('closes the channel of a socket that was gone before it came', async () => {
    const channel = await tunnel.open();
    const { b } = await pair();
    b.destroy();
    await once(b, 'close');
    expect((await splice(channel.near, b)).end.code).toBe(CloseReason.UnexpectedDisconnect);
  });
});

describe('failures', () => {
  it.each(['client', 'target'] as const)('passes a reset by the %s on as one, and closes with 8', async (who) => {
    const { client, target, ends } = await bridge();
    const [from, to] = who === 'client' ? [client, target] : [target, client];
    to.resume();
    const error = errorOf(to);
    from.resetAndDestroy();
    expect(await error).toBe('ECONNRESET');
    const [near, far] = await ends;
    const here = who === 'client' ? near : far;
    expect(here.error?.code).toBe('ECONNRESET');
    for (const { end } of [near, far]) {
      expect(end).toMatchObject({ code: CloseReason.UnexpectedDisconnect });
      expect(end.reason).toContain('ECONNRESET');
    }
  });

  it('resets the socket when the channel is closed by another code than 0', async () => {
    const channel = await tunnel.open();
    const { a, b } = await pair();
    const error = errorOf(a);
    a.resume();
    const over = splice(channel.near, b);
    channel.far.close({ code: CloseReason.Cancelled, reason: 'enough' });
    expect(await error).toBe('ECONNRESET');
    expect((await over).end).toEqual({ code: CloseReason.Cancelled, reason: 'enough' });
  });

  it('resets the socket when the tunnel is lost', async () => {
    const { client, target, ends } = await bridge();
    const errors = Promise.all([errorOf(client), errorOf(target)]);
    client.resume();
    target.resume();
    tunnel.sockets.cut();
    expect(await errors).toEqual(['ECONNRESET', 'ECONNRESET']);
    expect((await ends).map(({ end }) => end.code)).toEqual([8, 8]);
  });

  it('gives a client all of an answer, though the target then breaks off what the client still sends', async () => {
    const { client, target, farSocket, ends } = await bridge();
    const answer = randomBytes(300_000);
    // The answer is on its way, and stays there until the target has broken off.
    tunnel.sockets.bToA.stall('test');
    target.end(answer);
    await once(farSocket, 'end');
    client.write('a long question');
    await once(target, 'readable');
    target.resetAndDestroy();
    // After the end of the answer only a write notices.
    client.write('that goes on');
    await eventually(() => farSocket.closed, { what: 'the break to be noticed' });
    tunnel.sockets.bToA.release('test');
    expect(hash(await readAll(client))).toBe(hash(answer));
    client.destroy();
    const [near, far] = await ends;
    expect([near.end.code, far.end.code]).toEqual([CloseReason.Ok, CloseReason.Ok]);
    expect(far.error?.code).toMatch(/^(ECONNRESET|EPIPE)$/);
  });
});

describe('a slow reader', () => {
  it.each(['client', 'target'] as const)('%s holds the other side up, and little is kept meanwhile', async (slow) => {
    const { client, target, nearSocket, farSocket, ends, channel } = await bridge();
    const [reader, writer] = slow === 'client' ? [client, target] : [target, client];
    const [out, into] = slow === 'client' ? [nearSocket, farSocket] : [farSocket, nearSocket];
    const source = slow === 'client' ? channel.far : channel.near;
    let unwrittenHighest = 0;
    let given = 0;
    const write = out.write.bind(out);
    out.write = (chunk: Uint8Array) => {
      const took = write(chunk);
      unwrittenHighest = Math.max(unwrittenHighest, out.writableLength);
      return took;
    };
    const send = source.send.bind(source);
    source.send = (bytes, ...more) => {
      given += bytes.byteLength;
      return send(bytes, ...more);
    };
    const bytes = randomBytes(20 * MIB);
    writer.end(bytes);
    await stalled(() => given, into);
    expect(given).toBeLessThan(bytes.length);
    const frame = LIMITS.framePayloadBytesMax;
    expect(unwrittenHighest).toBeLessThanOrEqual(256 * 1024 + frame);
    reader.end();
    expect(hash(await readAll(reader))).toBe(hash(bytes));
    writer.resume();
    await ends;
    expect(unwrittenHighest).toBeLessThanOrEqual(256 * 1024 + frame);
  });

  it('gets what came before a CLOSE 0', async () => {
    const channel = await tunnel.open();
    const { a, b } = await pair();
    const clock = new FakeClock();
    const over = splice(channel.near, b, { clock });
    const bytes = randomBytes(8 * MIB);
    const sent = (async () => {
      await channel.far.send(bytes);
      channel.far.close({ code: CloseReason.Ok, reason: 'done' });
    })();
    expect(hash(await readAll(a))).toBe(hash(bytes));
    a.end('nobody reads this');
    await sent;
    expect((await over).end).toMatchObject({ code: CloseReason.Ok, reason: 'done' });
    expect(clock.pending).toBe(0);
  });

  it('has all the time it needs as long as it takes something', async () => {
    const clock = new FakeClock();
    const channel = await tunnel.open();
    const { a, b } = await pair();
    const over = splice(channel.near, b, { clock });
    const bytes = randomBytes(20 * MIB);
    void channel.far.send(bytes).then(() => channel.far.close({ code: CloseReason.Ok, reason: 'done' }));
    const chunks: Buffer[] = [];
    let paused = 0;
    const got = () => chunks.reduce((sum, { byteLength }) => sum + byteLength, 0);
    a.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      if (clock.pending === 0 || got() < paused + 4 * MIB) return;
      // From here on the channel is over: each of these steps takes nearly the whole wait.
      paused = got();
      a.pause();
      clock
        .advance(119_000)
        .then(() => a.resume())
        .catch(() => undefined);
    });
    await once(a, 'end');
    expect(got()).toBe(bytes.length);
    expect(clock.monotonic()).toBeGreaterThan(120_000);
    a.end();
    await over;
  });

  it('that goes away while the channel waits for it ends the splice', async () => {
    const { client, nearSocket, target, ends } = await bridge();
    target.write(randomBytes(20 * MIB));
    await eventually(() => nearSocket.writableLength > 256 * 1024, { what: 'the transfer to stall' });
    client.resetAndDestroy();
    const [near] = await ends;
    expect(near.end.code).toBe(CloseReason.UnexpectedDisconnect);
  });

  it('is given up when its channel is over and it takes nothing for 120 s', async () => {
    const clock = new FakeClock();
    const channel = await tunnel.open();
    const { b } = await pair();
    let isOver = false;
    const over = splice(channel.near, b, { clock }).finally(() => (isOver = true));
    void channel.far.send(new Uint8Array(64));
    channel.far.close({ code: CloseReason.Ok, reason: 'done' });
    // The other side of `b` neither reads nor ends.
    await eventually(() => clock.pending === 1, { what: 'the wait to begin' });
    await clock.advance(119_999);
    expect(isOver).toBe(false);
    await eventually(() => b.writableFinished, { what: 'the bytes to leave' });
    await clock.advance(120_001);
    await over;
    expect(clock.pending).toBe(0);
  });
});

describe('writes', () => {
  /** A socket that notes how it was written to. */
  class Noting extends Duplex {
    readonly writes: number[] = [];
    override _read(): void {}
    override _write(chunk: Uint8Array, _encoding: unknown, done: () => void): void {
      this.writes.push(chunk.byteLength);
      done();
    }
    override _writev(chunks: { chunk: Uint8Array }[], done: () => void): void {
      this.writes.push(chunks.reduce((sum, { chunk }) => sum + chunk.byteLength, 0));
      done();
    }
  }

  it('puts the bulk of one turn together, and never lets few bytes wait', async () => {
    const items = [...sizes(32_768, 32_768, 32_768), ...sizes(5), ...sizes(7), ...sizes(32_768)];
    const socket = new Noting();
    const over = splice(reading(items), socket);
    await settle();
    await settle();
    expect(socket.writes).toEqual([3 * 32_768 + 5, 7, 32_768]);
    socket.push(null);
    expect(((await over) satisfies SpliceEnd).bytesToSocket).toBe(4 * 32_768 + 12);
  });

  it('holds no more than its bound before it writes', async () => {
    const socket = new Noting();
    const over = splice(reading(sizes(...Array.from({ length: 32 }, () => 65_536))), socket);
    socket.push(null);
    await over;
    expect(socket.writes.reduce((sum, bytes) => sum + bytes, 0)).toBe(32 * 65_536);
    expect(Math.max(...socket.writes)).toBeLessThanOrEqual(256 * 1024 + 65_536);
    expect(socket.writes.length).toBeLessThan(32);
  });

  it.each([
    ['frees what a network socket has read', true],
    ['leaves alone what another stream has given', false],
  ])('%s, once the other end has it', async (_what, isNetwork) => {
    const pushed: { bytes: Uint8Array; onReceived: (() => void) | undefined }[] = [];
    const channel = reading([]);
    Object.assign(channel, {
      push: (bytes: Uint8Array, options: { onReceived?: () => void }) => {
        pushed.push({ bytes, onReceived: options.onReceived });
        return true;
      },
    });
    const { a, b } = await pair();
    const socket = isNetwork ? b : new Noting();
    const over = splice(channel, socket);
    if (isNetwork) a.write('some bytes');
    else socket.push(Buffer.from('some bytes'));
    await eventually(() => pushed.length === 1, { what: 'the bytes' });
    await settle();
    expect(String(pushed[0]?.bytes)).toBe('some bytes');
    pushed[0]?.onReceived?.();
    expect(pushed[0]?.bytes.byteLength).toBe(isNetwork ? 0 : 10);
    socket.destroy();
    await over;
  });

  it('reads no further than there is room, and goes on with it', async () => {
    let room = Promise.withResolvers<void>();
    let pushes = 0;
    const channel = reading([]);
    Object.assign(channel, { push: () => ((pushes += 1), false), room: () => room.promise });
    const socket = new Noting();
    const over = splice(channel, socket);
    for (let chunk = 1; chunk <= 3; chunk += 1) {
      socket.push(Buffer.alloc(10));
      socket.push(Buffer.alloc(10));
      await eventually(() => pushes === chunk, { what: `chunk ${chunk}` });
      await settle();
      expect([pushes, socket.isPaused()]).toEqual([chunk, true]);
      const had = room;
      room = Promise.withResolvers<void>();
      had.resolve();
    }
    socket.destroy();
    await over;
  });

  function sizes(...all: number[]) {
    return all.map((bytes) => ({ kind: 'data' as const, bytes: new Uint8Array(bytes), stderr: false }));
  }

  /** The wire, faked: everything has arrived before the first read. */
  function reading(items: ReturnType<typeof sizes>): Channel {
    const ended = Promise.withResolvers<{ code: number; reason: string }>();
    const rest = [...items, { kind: 'fin' as const }];
    return {
      ended: ended.promise,
      take: () => rest.shift(),
      read: () => ended.promise.then(() => undefined),
      end: () => undefined,
      close: ended.resolve,
      push: () => true,
    } as unknown as Channel;
  }
});

/** Resolves when nothing has moved for as long as several turns, and the socket is not read. */
async function stalled(given: () => number, socket: Socket): Promise<void> {
  let last = -1;
  let still = 0;
  await eventually(
    () => {
      still = given() === last && socket.isPaused() ? still + 1 : 0;
      last = given();
      return still >= 5;
    },
    { what: 'the transfer to stall' },
  );
}
