import { CloseReason, encodeU32, FrameType, LIMITS } from '@drawbridge/protocol';
import { expect, it } from 'vitest';
import { FakeClock, settle } from '../../testkit/src/fake-clock.ts';
import { bare, bareLeg, DATA_MAX, OTHER } from '../../testkit/src/bare-leg.ts';
import type { ChannelOffer } from './channel.ts';
import { WindowBudget } from './credit.ts';
import { Tunnel } from './tunnel.ts';

it('answers RESUME, and takes counted frames once the other end has answered too', async () => {
  await using peer = bare();
  await peer.resume(4);
  expect(peer.answers()).toEqual(['Resume flags 4 4 has 0']);
  await peer.agree(4);
  await peer.open(1);
  expect(peer.answers()).toEqual(['Resume flags 4 4 has 0', 'ChannelAck 1']);
});

it('ignores an answer to a RESUME that was replaced, and one that comes twice', async () => {
  await using peer = bare();
  await peer.resume(1);
  await peer.resume(2);
  await peer.agree(1, 77);
  await peer.agree(2);
  await peer.open(1);
  await peer.agree(2);
  await peer.open(3);
  expect(peer.answers()).toEqual(['Resume flags 4 1 has 0', 'Resume flags 4 2 has 0', 'ChannelAck 1', 'ChannelAck 3']);
});

it('says RECEIVED after 32 frames, after 256 KiB, and after 100 ms', async () => {
  await using peer = bare();
  await peer.flow();
  for (let index = 0; index < 32; index += 1) await peer.open(2 * index + 1);
  const received = () => peer.answers().filter((answer) => answer.startsWith('Received'));
  expect(received()).toEqual(['Received 32']);
  for (let frames = 0; frames < 4; frames += 1) await peer.say(FrameType.Data, 1, DATA_MAX);
  expect(received()).toEqual(['Received 32', 'Received 4']);
  await peer.open(99);
  await peer.clock.advance(LIMITS.receivedDelayMs);
  expect(received()).toEqual(['Received 32', 'Received 4', 'Received 1']);
});

it('says in its answer what it has, and nothing of that in RECEIVED again', async () => {
  await using peer = bare();
  await peer.flow();
  await peer.open(1);
  await peer.open(3);
  await peer.resume(2);
  await peer.clock.advance(1_000);
  await peer.agree(2, 2);
  await peer.clock.advance(1_000);
  expect(peer.answers().slice(3)).toEqual(['Resume flags 4 2 has 2']);
});

it('drops a RECEIVED that waits for its socket when the answer to RESUME says it', async () => {
  await using peer = bare();
  await peer.flow();
  await peer.open(1);
  peer.pair.bToA.stall();
  void peer.channels[0]?.send(new Uint8Array(LIMITS.windowBytesMax)).catch(() => undefined);
  for (let frames = 0; frames < 4; frames += 1) await peer.say(FrameType.Data, 1, DATA_MAX);
  await peer.resume(2);
  peer.pair.bToA.release();
  await settle();
  expect(peer.answers().filter((answer) => answer.startsWith('Re'))).toEqual([
    'Resume flags 4 1 has 0',
    'Resume flags 4 2 has 5',
  ]);
});

it('sends nothing counted on a new leg before both have answered, though the one before was never lost', async () => {
  await using peer = bare();
  await peer.flow();
  await peer.open(1);
  const next = peer.nextLeg();
  void peer.channels[0]?.send(Uint8Array.of(1));
  await settle();
  expect(next.counted()).toEqual([]);
  await next.resume(2);
  expect(next.counted()).toEqual([]);
  await next.agree(2, 0);
  expect(next.answers()).toEqual(['Resume flags 4 2 has 1', 'ChannelAck 1', 'Data 1']);
  expect(peer.tunnel.stats.resumes).toBe(1);
});

it('keeps at most so many counted frames, and sends one more for each that is received', async () => {
  await using peer = bare();
  await peer.flow();
  await peer.open(1);
  const [channel] = peer.channels;
  for (let frames = 0; frames < LIMITS.framesUnreceivedMax + 10; frames += 1) void channel?.send(Uint8Array.of(1));
  await settle();
  expect(peer.counted().length).toBe(LIMITS.framesUnreceivedMax);
  await peer.say(FrameType.Received, 0, encodeU32(2));
  expect(peer.counted().length).toBe(LIMITS.framesUnreceivedMax + 2);
});

it('ends every channel with 8, and counts from 0, when RESUME names another process', async () => {
  await using peer = bare();
  await peer.flow();
  await peer.open(7);
  await peer.say(FrameType.Data, 7, Uint8Array.of(1));
  const opening = peer.tunnel.open({ protocol: 'tcp' });
  opening.catch(() => undefined);
  await peer.resume(2, OTHER);
  expect(await peer.channels[0]?.ended).toMatchObject({ code: CloseReason.UnexpectedDisconnect });
  await expect(opening).rejects.toMatchObject({ code: 'tunnel_unavailable' });
  await peer.agree(2, 0);
  await peer.open(1);
  expect(peer.answers().slice(-2)).toEqual(['Resume flags 4 2 has 0', 'ChannelAck 1']);
  expect(peer.tunnel.channels).toBe(2);
});

it('withdraws an offer of a process that is gone', async () => {
  const offers: ChannelOffer[] = [];
  await using peer = bare({ accept: (offer) => offers.push(offer) });
  await peer.flow();
  await peer.open(1);
  await peer.resume(2, OTHER);
  await peer.agree(2, 0);
  expect(offers[0]?.signal.aborted).toBe(true);
  offers[0]?.refuse('forbidden', 'late');
  await settle();
  expect(peer.counted()).toEqual([]);
});

it('leaves no timer when what a frame does ends the tunnel', async () => {
  const clock = new FakeClock();
  const leg = bareLeg(clock);
  const tunnel: Tunnel = new Tunnel({
    socket: leg.pair.b,
    resume: { graceMs: 60_000 },
    opens: 'even',
    clock,
    budget: new WindowBudget(),
    accept: () => tunnel.close(CloseReason.AgentShutdown, 'enough'),
  });
  await leg.resume(1);
  await leg.agree(1);
  await leg.open(1);
  expect(await tunnel.ended).toMatchObject({ code: CloseReason.AgentShutdown });
  expect(clock.pending).toBe(0);
});

it('counts silence and waiting for a leg by the same end: after the grace it ends with 2', async () => {
  await using peer = bare();
  await peer.flow();
  peer.pair.cut();
  await settle();
  await peer.clock.advance(59_999);
  const next = peer.nextLeg();
  await peer.clock.advance(10_000);
  next.pair.cut();
  await peer.clock.advance(60_000);
  expect(await peer.tunnel.ended).toMatchObject({ code: CloseReason.GraceExpired, by: 'loss' });
});

/** Each would leave two frames behind: CHANNEL_OPEN and CLOSE. */
const OPENS = LIMITS.framesUrgentMax / 2;

it('lives through any number of opens that are given up while no leg is there, and says nothing of them', async () => {
  await using peer = bare();
  await peer.flow();
  peer.pair.cut();
  await settle();
  for (let opens = 0; opens <= OPENS; opens += 1) {
    const abort = new AbortController();
    peer.tunnel.open({ protocol: 'tcp' }, abort.signal).catch(() => undefined);
    abort.abort();
  }
  const next = peer.nextLeg();
  await next.resume(2);
  await next.agree(2);
  void peer.tunnel.open({ protocol: 'tcp' }).catch(() => undefined);
  await settle();
  expect(next.answers().slice(1)).toEqual([`ChannelOpen ${2 * OPENS + 4}`]);
  next.pair.cut();
});

it('says CLOSE 12 of an open that is given up after it has left, though it has to leave again', async () => {
  await using peer = bare();
  await peer.flow();
  const abort = new AbortController();
  const opening = peer.tunnel.open({ protocol: 'tcp' }, abort.signal);
  opening.catch(() => undefined);
  await settle();
  peer.pair.cut();
  await settle();
  abort.abort();
  const next = peer.nextLeg();
  await next.resume(2);
  await next.agree(2);
  expect(next.answers().slice(1)).toEqual(['ChannelOpen 2', 'Close 2 12']);
  next.pair.cut();
});
