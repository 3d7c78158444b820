import assert from 'node:assert/strict';
import { Tunnel, WindowBudget } from '@drawbridge/link';
import type { Channel, ChannelOffer } from '@drawbridge/link';
import {
  ClosePayload,
  CloseReason,
  decodeFrame,
  decodeJson,
  decodeU32,
  encodeFrame,
  encodeJson,
  FrameFlag,
  FrameType,
  LIMITS,
  ResumeAckPayload,
  ResumePayload,
} from '@drawbridge/protocol';
import type { Frame } from '@drawbridge/protocol';
import { FakeClock, settle } from './fake-clock.ts';
import { socketPair } from './socket-pair.ts';
import type { SocketPair } from './socket-pair.ts';

/** Two processes. */
export const ONE = '11111111-1111-4111-8111-111111111111';
export const OTHER = '22222222-2222-4222-8222-222222222222';

/** As much as one frame holds. */
export const DATA_MAX = new Uint8Array(LIMITS.framePayloadBytesMax);

/** One leg, the relay's end of which is a bare socket. */
export function bareLeg(clock: FakeClock, pair: SocketPair = socketPair({ clock })) {
  const heard: Frame[] = [];
  let closedWith: number | undefined;
  pair.a.listen({
    message: (message) => {
      if (typeof message !== 'string') heard.push(decodeFrame(message));
    },
    closed: (end) => (closedWith = end.code),
  });
  const say = (type: FrameType, channelId: number, payload: Uint8Array = new Uint8Array(), flags = 0) => {
    pair.a.send(encodeFrame({ type, flags, channelId, payload }));
    return settle();
  };
  return {
    pair,
    say,
    closedWith: () => closedWith,
    resume: (epoch: number, peer = ONE) => say(FrameType.Resume, 0, encodeJson({ epoch, peer_instance: peer })),
    agree: (epoch: number, received = 0) => say(FrameType.Resume, 0, encodeJson({ epoch, received }), FrameFlag.Ack),
    open: (channelId: number, window: number = LIMITS.windowBytesMax) =>
      say(FrameType.ChannelOpen, channelId, encodeJson({ protocol: 'tcp', metadata: {}, window })),
    /** What the tunnel said, heartbeats left out. */
    answers: () => heard.filter(({ type }) => type !== FrameType.Heartbeat).map(summary),
    counted: () => heard.filter(({ channelId, type }) => channelId !== 0 && type !== FrameType.Heartbeat),
  };
}

/** An end of a tunnel that resumes; its peer can say what no relay would. */
export function bare(options: { accept?: (offer: ChannelOffer) => void } = {}) {
  const clock = new FakeClock();
  const leg = bareLeg(clock);
  const budget = new WindowBudget();
  const channels: Channel[] = [];
  const tunnel = new Tunnel({
    socket: leg.pair.b,
    resume: { graceMs: 60_000 },
    opens: 'even',
    clock,
    budget,
    accept: options.accept ?? ((offer) => channels.push(offer.accept())),
  });
  return {
    ...leg,
    tunnel,
    clock,
    channels,
    budget,
    /** Both ends have agreed: counted frames flow. */
    async flow() {
      await leg.resume(1);
      await leg.agree(1);
    },
    nextLeg() {
      const next = bareLeg(clock);
      tunnel.attach(next.pair.b);
      return next;
    },
    async [Symbol.asyncDispose]() {
      tunnel.close(CloseReason.Cancelled, 'the test is over');
      leg.pair.cut();
      await tunnel.ended;
      assert.equal(clock.pending, 0, 'timers are left');
    },
  };
}

/** `type channel flags`, and what it says as far as that matters. */
function summary({ type, channelId, flags, payload }: Frame): string {
  const name = Object.entries(FrameType).find(([, value]) => value === type)?.[0] ?? '?';
  const flag = flags === 0 ? '' : ` flags ${flags}`;
  if (type === FrameType.Received) return `${name} ${decodeU32(payload)}`;
  if (type === FrameType.Close) return `${name} ${channelId} ${closeCode(payload)}`;
  if (type !== FrameType.Resume) return `${name} ${channelId}${flag}`;
  if (flags === 0) return `${name} ${decodeJson(ResumePayload, payload).epoch}`;
  const { epoch, received } = decodeJson(ResumeAckPayload, payload);
  return `${name}${flag} ${epoch} has ${received}`;
}

function closeCode(payload: Uint8Array): string {
  try {
    return `${decodeJson(ClosePayload, payload).code}`;
  } catch {
    return 'of nothing';
  }
}

/** An end, and what its peer can do to it. */
export type Bare = ReturnType<typeof bare>;
