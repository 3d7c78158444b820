import { CloseReason, LIMITS } from '@drawbridge/protocol';
import { expect, it, vi } from 'vitest';
import { FakeClock, settle } from '../../testkit/src/fake-clock.ts';
import { tunnelPair } from '../../testkit/src/tunnel-pair.ts';
import { socketPair } from '../../testkit/src/socket-pair.ts';
import type { ChannelItem, ChannelOffer } from './channel.ts';
import type { MessageSocket } from './socket.ts';
import { Tunnel } from './tunnel.ts';

const ok = { code: CloseReason.Ok, reason: '' };

it('carries bytes both ways, and half-closes each way alone', async () => {
  await using pair = tunnelPair();
  const { near, far } = await pair.open();
  await near.send(Uint8Array.of(1, 2, 3));
  near.end();
  expect(await far.read()).toEqual({ kind: 'data', bytes: Uint8Array.of(1, 2, 3), stderr: false });
  expect(await far.read()).toEqual({ kind: 'fin' });
  await far.send(Uint8Array.of(4), { stderr: true });
  far.end();
  expect(await near.read()).toEqual({ kind: 'data', bytes: Uint8Array.of(4), stderr: true });
  expect(await near.read()).toEqual({ kind: 'fin' });
  await far.control({ signal: 'TERM' });
  expect(await near.read()).toEqual({ kind: 'control', value: { signal: 'TERM' } });
  near.close(ok);
  expect(await far.read()).toBeUndefined();
  expect(await far.ended).toEqual(ok);
  expect([pair.operator.channels, pair.agent.channels]).toEqual([0, 0]);
  expect([pair.operatorBudget.bytesUsed, pair.agentBudget.bytesUsed]).toEqual([0, 0]);
});

it('keeps data, control and close in order', async () => {
  await using pair = tunnelPair();
  const { near, far } = await pair.open();
  const sent = new Uint8Array(3 * LIMITS.windowBytesInitial).fill(7);
  void near.send(sent);
  void near.control({ cols: 80 });
  void near.send(Uint8Array.of(8));
  near.close({ code: CloseReason.Ok, reason: '', exit_code: 3 });
  const items: ChannelItem[] = [];
  for await (const item of far) items.push(item);
  const kinds = items.map((item) => item.kind);
  expect(kinds.slice(-2)).toEqual(['control', 'data']);
  expect(bytesOf(items)).toBe(sent.byteLength + 1);
  expect(await far.ended).toEqual({ code: 0, reason: '', exit_code: 3 });
});

it('ends every channel with 8 when the wire is cut, and leaves no timer', async () => {
  const pair = tunnelPair();
  const { near, far } = await pair.open();
  await near.send(Uint8Array.of(1));
  await settle();
  const opening = pair.operator.open({ protocol: 'tcp' });
  pair.sockets.cut();
  await expect(opening).rejects.toMatchObject({ code: 'tunnel_unavailable' });
  expect((await near.ended).code).toBe(CloseReason.UnexpectedDisconnect);
  expect((await far.ended).code).toBe(CloseReason.UnexpectedDisconnect);
  expect(await pair.operator.ended).toMatchObject({ by: 'loss', code: 8, socket: { code: 1006 } });
  await expect(near.send(Uint8Array.of(2))).rejects.toMatchObject({ code: 'tunnel_unavailable' });
  await expect(pair.operator.open({ protocol: 'tcp' })).rejects.toMatchObject({ code: 'tunnel_unavailable' });
  expect(pair.clock.pending).toBe(0);
  // What had arrived can still be read, and only then is the memory given back.
  expect(pair.agent.channels).toBe(1);
  expect(await far.read()).toMatchObject({ kind: 'data' });
  expect(await far.read()).toBeUndefined();
  expect(pair.agent.channels).toBe(0);
  expect([pair.operatorBudget.bytesUsed, pair.agentBudget.bytesUsed]).toEqual([0, 0]);
});

it('makes a sender wait that is far ahead of its reader, while other channels flow', async () => {
  await using pair = tunnelPair();
  const slow = await pair.open();
  const quick = await pair.open();
  const sent = vi.fn<() => void>();
  const sending = slow.near.send(new Uint8Array(2 * LIMITS.windowBytesInitial + 1)).then(sent);
  await settle();
  expect(sent).not.toHaveBeenCalled();
  void quick.near.send(Uint8Array.of(5));
  expect(await quick.far.read()).toMatchObject({ bytes: Uint8Array.of(5) });
  let taken = 0;
  while (sent.mock.calls.length === 0) {
    const item = await slow.far.read();
    if (item?.kind === 'data') taken += item.bytes.byteLength;
    await settle();
  }
  await sending;
  expect(taken).toBeGreaterThanOrEqual(LIMITS.windowBytesInitial / 2);
});

it('answers a heartbeat on every level and measures its leg', async () => {
  const clock = new FakeClock();
  await using pair = tunnelPair({ clock, wires: { latencyMs: 30 } });
  await clock.advance(100);
  expect(pair.operator.rttMs).toBe(60);
});

it('ends after 45 s without a byte, though the socket says nothing', async () => {
  await using pair = tunnelPair();
  pair.sockets.bToA.stall();
  await pair.clock.advance(LIMITS.livenessTimeoutMs);
  expect(await pair.operator.ended).toMatchObject({ by: 'loss', reason: 'no byte for 45000 ms' });
  expect(pair.clock.pending).toBe(0);
});

it('counts bytes of any kind as life, a ping of the socket too', async () => {
  const clock = new FakeClock();
  const pair = socketPair();
  let alive: (() => void) | undefined;
  const quiet: MessageSocket = {
    bufferedBytes: 0,
    send: () => {},
    close: () => {},
    terminate: () => pair.cut(),
    pause: () => {},
    resume: () => {},
    listen(listener) {
      alive = () => listener.alive?.();
      pair.b.listen(listener);
    },
  };
  const tunnel = new Tunnel({ socket: quiet, opens: 'odd', clock });
  await clock.advance(LIMITS.livenessTimeoutMs - 1);
  alive?.();
  await clock.advance(LIMITS.livenessTimeoutMs - 1);
  expect(clock.pending).toBeGreaterThan(0);
  await clock.advance(1);
  expect(await tunnel.ended).toMatchObject({ by: 'loss' });
});

it('says since when it is idle: data and control are activity, heartbeats are not', async () => {
  await using pair = tunnelPair();
  const { near, far } = await pair.open();
  const idle = () => [pair.operator.idleSinceMs, pair.agent.idleSinceMs];
  await pair.clock.advance(30_000);
  expect(idle()).toEqual([0, 0]);
  await near.send(Uint8Array.of(1));
  await pair.clock.advance(30_000);
  expect(idle()).toEqual([30_000, 30_000]);
  await far.control({});
  await pair.clock.advance(30_000);
  expect(idle()).toEqual([60_000, 60_000]);
});

it('lives as long as heartbeats come', async () => {
  await using pair = tunnelPair();
  await pair.clock.advance(10 * LIMITS.livenessTimeoutMs);
  await expect(pair.open()).resolves.toBeDefined();
});

it('closes with a reason that the peer hears', async () => {
  const pair = tunnelPair();
  const { far } = await pair.open();
  pair.operator.close(CloseReason.ServerShutdown, 'bye');
  expect(await pair.agent.ended).toMatchObject({ by: 'peer', code: 5, reason: 'bye' });
  expect(await pair.operator.ended).toMatchObject({ by: 'here', code: 5, socket: { code: 1000 } });
  expect((await far.ended).code).toBe(8);
  expect(pair.clock.pending).toBe(0);
});

it('tells the refusal of the peer by its code', async () => {
  await using pair = tunnelPair({ accept: (offer) => offer.refuse('forbidden', 'not this host') });
  await expect(pair.operator.open({ protocol: 'tcp' })).rejects.toMatchObject({
    code: 'forbidden',
    message: 'not this host',
  });
  await expect(pair.agent.open({ protocol: 'tcp' })).rejects.toMatchObject({ code: 'unsupported' });
  expect([pair.operator.channels, pair.agent.channels]).toEqual([0, 0]);
});

it('gives up an open that nobody answers, and the peer learns of it', async () => {
  const offers: ChannelOffer[] = [];
  await using pair = tunnelPair({ accept: (offer) => offers.push(offer) });
  const opening = pair.operator.open({ protocol: 'tcp' });
  await Promise.all([
    expect(opening).rejects.toMatchObject({ code: 'timed_out' }),
    pair.clock.advance(LIMITS.channelOpenTimeoutMs),
  ]);
  await settle();
  expect(offers[0]?.signal.aborted).toBe(true);
  expect(() => offers[0]?.accept()).toThrow('nobody waits');
  expect([pair.operator.channels, pair.agent.channels]).toEqual([0, 0]);
});

it('takes back an open whose caller aborts, before the peer has even heard of it', async () => {
  const offers: ChannelOffer[] = [];
  await using pair = tunnelPair({ accept: (offer) => offers.push(offer) });
  const abort = new AbortController();
  const opening = pair.operator.open({ protocol: 'tcp' }, abort.signal);
  abort.abort(new Error('enough'));
  await expect(opening).rejects.toThrow('enough');
  await settle();
  expect(offers.map((offer) => offer.signal.aborted)).toEqual([true]);
  expect(pair.agent.channels).toBe(0);
});

it('takes back an open that still waits for a full socket, and leaves no channel at the peer', async () => {
  await using pair = tunnelPair();
  const { near } = await pair.open();
  const second = await pair.open();
  pair.sockets.aToB.stall();
  for (const channel of [near, second.near])
    void channel.send(new Uint8Array(LIMITS.windowBytesInitial)).catch(() => {});
  const abort = new AbortController();
  const opening = pair.operator.open({ protocol: 'tcp' }, abort.signal);
  abort.abort(new Error('enough'));
  await expect(opening).rejects.toThrow('enough');
  pair.sockets.aToB.release();
  await settle();
  expect([pair.operator.channels, pair.agent.channels]).toEqual([2, 2]);
});

it('forgets a lost channel that is closed with unread bytes', async () => {
  await using pair = tunnelPair();
  const { near, far } = await pair.open();
  await near.send(Uint8Array.of(1));
  near.close(ok);
  await far.ended;
  expect([pair.agent.channels, pair.agentBudget.bytesUsed]).toEqual([1, LIMITS.windowBytesInitial]);
  far.close(ok);
  expect([pair.agent.channels, pair.agentBudget.bytesUsed]).toEqual([0, 0]);
});

it('takes one answer to an offer', async () => {
  const offers: ChannelOffer[] = [];
  await using pair = tunnelPair({ accept: (offer) => offers.push(offer) });
  const opening = pair.operator.open({ protocol: 'tcp' });
  await settle();
  offers[0]?.accept({ greeting: 'hello' });
  expect(() => offers[0]?.refuse('forbidden', 'after all')).toThrow('answered before');
  expect((await opening).metadata).toEqual({ greeting: 'hello' });
});

it('refuses an answer that is too long for a frame, and ends the channel', async () => {
  const errors: unknown[] = [];
  const accept = (offer: ChannelOffer) => {
    try {
      offer.accept({ text: 'x'.repeat(LIMITS.frameJsonBytesMax) });
    } catch (error) {
      errors.push(error);
    }
  };
  await using pair = tunnelPair({ accept });
  await expect(pair.operator.open({ protocol: 'tcp' })).rejects.toMatchObject({ code: 'queue_full' });
  expect(errors).toEqual([expect.objectContaining({ code: 'payload_too_large' })]);
  expect([pair.operator.channels, pair.agent.channels]).toEqual([0, 0]);
});

it('never hands the socket more than its limit', async () => {
  await using pair = tunnelPair();
  const channels = await Promise.all(Array.from({ length: 8 }, () => pair.open()));
  pair.sockets.aToB.stall();
  for (const { near } of channels) void near.send(new Uint8Array(LIMITS.windowBytesInitial)).catch(() => {});
  await settle();
  pair.operator.close(CloseReason.Ok, 'x'.repeat(3_000));
  expect(pair.sockets.aToB.bufferedBytesHighest).toBeLessThanOrEqual(LIMITS.socketBufferBytesMax);
  expect(pair.sockets.aToB.bufferedBytesHighest).toBeGreaterThan(LIMITS.socketBufferBytesMax / 2);
});

function bytesOf(items: readonly ChannelItem[]): number {
  return items.reduce((sum, item) => sum + (item.kind === 'data' ? item.bytes.byteLength : 0), 0);
}
