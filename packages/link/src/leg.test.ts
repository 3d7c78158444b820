import { encodeFrame, FrameFlag, FrameType, LIMITS, ProtocolError } from '@drawbridge/protocol';
import type { Frame } from '@drawbridge/protocol';
import { expect, it } from 'vitest';
import { FakeClock, settle } from '../../testkit/src/fake-clock.ts';
import { socketPair } from '../../testkit/src/socket-pair.ts';
import { Leg } from './leg.ts';

const data: Frame = { type: FrameType.Data, flags: 0, channelId: 7, payload: Uint8Array.of(1, 2) };

/** A leg that writes down what it tells, and the other end of its socket. */
function listening(latencyMs?: number) {
  const clock = new FakeClock();
  const pair = socketPair({ clock, ...(latencyMs !== undefined && { latencyMs }) });
  const told: string[] = [];
  const messages: Uint8Array[] = [];
  const sent: Frame[] = [];
  const heard: unknown[] = [];
  pair.b.listen({ message: (message) => heard.push(message), closed: () => {} });
  const leg = new Leg({
    socket: pair.a,
    clock,
    heartbeatIntervalMs: undefined,
    send: (frame) => {
      sent.push(frame);
      pair.a.send(encodeFrame(frame));
    },
    listener: {
      frame: (frame, bytes) => {
        told.push(`frame ${frame.type} of ${frame.channelId}`);
        messages.push(bytes);
        if (frame.type === FrameType.Heartbeat) leg.heartbeat(frame);
        if (frame.type === FrameType.Control) throw new ProtocolError('frame_unexpected', 'not here');
        if (frame.type === FrameType.Close) throw new TypeError('a bug');
      },
      drained: () => told.push('drained'),
      broken: (error) => told.push(`broken ${error.code}`),
      lost: ({ code, reason }) => told.push(`lost ${code} ${reason}`.trim()),
    },
  });
  leg.listen();
  return { clock, pair, leg, told, messages, sent, heard };
}

it('beats at once, and gives each frame with the message it came in', async () => {
  const { pair, told, messages, sent } = listening();
  expect(sent).toMatchObject([{ type: FrameType.Heartbeat, flags: 0, channelId: 0, payload: { byteLength: 8 } }]);
  pair.b.send(encodeFrame(data));
  await settle();
  expect(told).toEqual(['drained', 'frame 5 of 7']);
  expect(messages).toEqual([encodeFrame(data)]);
});

it('answers a heartbeat with its own bytes, and measures by the answers to its own', async () => {
  const { clock, pair, leg, sent } = listening(20);
  const payload = Uint8Array.of(9, 8, 7, 6, 5, 4, 3, 2);
  pair.b.send(encodeFrame({ type: FrameType.Heartbeat, flags: 0, channelId: 0, payload }));
  await clock.advance(20);
  expect(sent.at(-1)).toMatchObject({ type: FrameType.Heartbeat, flags: FrameFlag.Ack, payload });
  expect(leg.rttMs).toBeUndefined();
  const [beat] = sent;
  if (beat !== undefined) pair.b.send(encodeFrame({ ...beat, flags: FrameFlag.Ack }));
  await clock.advance(20);
  expect(leg.rttMs).toBe(40);
});

it.each<[string, string | Uint8Array, string]>([
  ['text', 'hello', 'broken message_binary'],
  ['no frame', Uint8Array.of(1, 2), 'broken frame_truncated'],
  ['a frame its listener does not allow', encodeFrame({ ...data, type: FrameType.Control }), 'broken frame_unexpected'],
  [
    'a heartbeat of 7 bytes',
    encodeFrame({ ...data, type: FrameType.Heartbeat, payload: new Uint8Array(7) }),
    'broken frame_payload',
  ],
])('tells of a broken wire after %s', async (_what, message, expected) => {
  const { pair, told } = listening();
  pair.b.send(message);
  await settle();
  expect(told.at(-1)).toBe(expected);
});

it('is lost when its socket closes, once, and says how', async () => {
  const { clock, pair, leg, told } = listening();
  pair.b.close(1001, 'restart');
  await settle();
  expect(told.filter((line) => line.startsWith('lost'))).toEqual(['lost 1001 restart']);
  expect(await leg.closed).toMatchObject({ code: 1001, reason: 'restart' });
  expect(clock.pending).toBe(0);
});

it('is lost after 45 s of silence, at once, though its socket is still to close', async () => {
  const { clock, pair, told, leg } = listening();
  await clock.advance(LIMITS.livenessTimeoutMs - 1);
  expect(told).not.toContain('lost 1006 no byte for 45000 ms');
  await clock.advance(1);
  expect(told.filter((line) => line.startsWith('lost'))).toEqual(['lost 1006 no byte for 45000 ms']);
  expect(await leg.closed).toMatchObject({ code: 1006 });
  pair.cut();
  expect(clock.pending).toBe(0);
});

it('takes silence for nothing while it does not read, and for something from then on', async () => {
  const { clock, pair, leg, told } = listening();
  leg.pause();
  pair.b.send(encodeFrame(data));
  await clock.advance(10 * LIMITS.livenessTimeoutMs);
  expect(told).toEqual(Array.from({ length: told.length }, () => 'drained'));
  leg.resume();
  leg.resume();
  await settle();
  expect(told.at(-1)).toBe('frame 5 of 7');
  await clock.advance(LIMITS.livenessTimeoutMs - 1);
  expect(told.some((line) => line.startsWith('lost'))).toBe(false);
  await clock.advance(1);
  expect(told.at(-1)).toBe('lost 1006 no byte for 45000 ms');
});

it('tells nothing, and times nothing, once it was let go, but for the end of its socket', async () => {
  const { clock, pair, leg, told } = listening();
  await settle();
  told.length = 0;
  leg.letGo();
  expect(clock.pending).toBe(0);
  pair.b.send(encodeFrame(data));
  pair.b.send('text');
  pair.a.send(encodeFrame(data));
  await settle();
  pair.cut();
  expect(await leg.closed).toMatchObject({ code: 1006 });
  expect(told).toEqual([]);
});
