import {
  ConnectPayload,
  decodeFrame,
  decodeJson,
  encodeFrame,
  encodeJson,
  FrameFlag,
  FrameType,
  LIMITS,
} from '@drawbridge/protocol';
import { expect, it } from 'vitest';
import { FakeClock, settle } from '../../testkit/src/fake-clock.ts';
import { socketPair } from '../../testkit/src/socket-pair.ts';
import { connectLeg } from './connect-leg.ts';

const ID = '11111111-1111-4111-8111-111111111111';
const connect = { agent_id: ID, tunnel_id: ID, token: 'secret', protocol: 'tcp', instance: ID };
const ack = { heartbeat_seconds: 20, idle_seconds: 3600, grace_seconds: 60 };

/** A leg that says CONNECT to a bare socket. */
function connecting() {
  const clock = new FakeClock();
  const pair = socketPair({ clock });
  const heard: (string | Uint8Array)[] = [];
  const ends: number[] = [];
  pair.b.listen({ message: (message) => heard.push(message), closed: ({ code }) => ends.push(code) });
  const leg = connectLeg(pair.a, connect, clock);
  leg.catch(() => undefined);
  const answer = (payload: unknown, flags = 0, type: FrameType = FrameType.ConnectAck) =>
    pair.b.send(encodeFrame({ type, flags, channelId: 0, payload: encodeJson(payload) }));
  return { clock, pair, heard, ends, leg, answer };
}

it('says CONNECT with the version, and gives the answer and the rest of the socket', async () => {
  const { clock, heard, leg, answer, pair } = connecting();
  answer(ack);
  pair.b.send(Uint8Array.of(1));
  const { socket, ack: answered } = await leg;
  expect(answered).toEqual(ack);
  const frame = decodeFrame(heard[0] as Uint8Array);
  expect(frame).toMatchObject({ type: FrameType.Connect, flags: 0, channelId: 0 });
  expect(decodeJson(ConnectPayload, frame.payload)).toEqual({ ...connect, version: 1 });
  const rest: unknown[] = [];
  socket.listen({ message: (message) => rest.push(message), closed: () => {} });
  await settle();
  expect(rest).toEqual([Uint8Array.of(1)]);
  expect(clock.pending).toBe(0);
});

it.each([
  [{ code: 'auth_failed', message: 'no', retryable: true }, 'auth_failed', true],
  [{ code: 'conflict', message: 'no' }, 'conflict', false],
  [{ code: 'something_new', message: 'no' }, 'tunnel_unavailable', false],
])('tells a refusal by its code, and whether to try again: %o', async (refusal, code, retryable) => {
  const { leg, answer, ends } = connecting();
  answer(refusal, FrameFlag.Err);
  await expect(leg).rejects.toMatchObject({ code, details: { retryable } });
  await settle();
  expect(ends).toEqual([1006]);
});

it('drops the socket after 10 s without an answer', async () => {
  const { clock, leg, ends } = connecting();
  await clock.advance(LIMITS.connectTimeoutMs - 1);
  expect(ends).toEqual([]);
  await clock.advance(1);
  await expect(leg).rejects.toMatchObject({ code: 'tunnel_unavailable', message: 'no answer to CONNECT within 10 s' });
  await settle();
  expect([ends, clock.pending]).toEqual([[1006], 0]);
});

it.each<[string, (bare: ReturnType<typeof connecting>) => void]>([
  ['closes instead', ({ pair }) => pair.b.close(1008, 'auth_failed')],
  ['is lost instead', ({ pair }) => pair.cut()],
  ['answers with text', ({ pair }) => pair.b.send('hello')],
  ['answers with no frame', ({ pair }) => pair.b.send(Uint8Array.of(1))],
  ['answers with another frame', ({ answer }) => answer({}, 0, FrameType.ChannelAck)],
  ['answers with other JSON', ({ answer }) => answer({ heartbeat_seconds: 0 })],
])('is tunnel_unavailable when the other side %s', async (_what, happens) => {
  const bare = connecting();
  happens(bare);
  await expect(bare.leg).rejects.toMatchObject({
    code: 'tunnel_unavailable',
    message: expect.stringContaining('CONNECT'),
  });
  await settle();
  expect(bare.clock.pending).toBe(0);
});
