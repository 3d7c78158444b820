import * as fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { ProtocolError } from './errors.ts';
import { encodeJson, encodeU32 } from './frame-payloads.ts';
import { decodeFrame, encodeFrame, FrameFlag, FrameType } from './frame.ts';
import type { Frame } from './frame.ts';
import { LIMITS } from './limits.ts';

const TYPES = {
  CONNECT: FrameType.Connect,
  CONNECT_ACK: FrameType.ConnectAck,
  CHANNEL_OPEN: FrameType.ChannelOpen,
  CHANNEL_ACK: FrameType.ChannelAck,
  DATA: FrameType.Data,
  WINDOW_UPDATE: FrameType.WindowUpdate,
  HEARTBEAT: FrameType.Heartbeat,
  CLOSE: FrameType.Close,
  CONTROL: FrameType.Control,
  RESUME: FrameType.Resume,
  RECEIVED: FrameType.Received,
} as const;

const FLAGS = { ERR: FrameFlag.Err, FIN: FrameFlag.Fin, ACK: FrameFlag.Ack, STDERR: FrameFlag.Stderr } as const;

/** What PROTOCOL.md §3.2 says about flags, written down a second time: a change of either shows. */
const FLAGS_OF = {
  CONNECT: [],
  CONNECT_ACK: ['ERR'],
  CHANNEL_OPEN: ['ERR'],
  CHANNEL_ACK: ['ERR'],
  DATA: ['FIN', 'STDERR'],
  WINDOW_UPDATE: [],
  HEARTBEAT: ['ACK'],
  CLOSE: [],
  CONTROL: [],
  RESUME: ['ACK'],
  RECEIVED: [],
} as const satisfies Record<keyof typeof TYPES, readonly (keyof typeof FLAGS)[]>;

const Vectors = z.strictObject({
  frames: z.array(
    z.strictObject({
      name: z.string(),
      type: z.enum(Object.keys(TYPES) as (keyof typeof TYPES)[]),
      flags: z.array(z.enum(['ERR', 'FIN', 'ACK', 'STDERR'])),
      channel_id: z.number(),
      payload: z.union([
        z.strictObject({ json: z.unknown() }),
        z.strictObject({ u32: z.number() }),
        z.strictObject({ text: z.string() }),
        z.strictObject({ hex: z.string() }),
      ]),
      hex: z.string(),
    }),
  ),
  invalid: z.array(z.strictObject({ name: z.string(), hex: z.string(), error: z.string() })),
});
type Vector = z.infer<typeof Vectors>['frames'][number];

const vectors = Vectors.parse(JSON.parse(readFileSync(new URL('../vectors/frames.json', import.meta.url), 'utf8')));

function frameOf({ type, flags, channel_id: channelId, payload }: Vector): Frame {
  const bits = flags.reduce((sum, flag) => sum | FLAGS[flag], 0);
  return { type: TYPES[type], flags: bits, channelId, payload: bytesOf(payload) };
}

function bytesOf(payload: Vector['payload']): Uint8Array {
  if ('u32' in payload) return encodeU32(payload.u32);
  if ('hex' in payload) return Uint8Array.from(Buffer.from(payload.hex, 'hex'));
  if ('text' in payload) return new TextEncoder().encode(payload.text);
  return encodeJson(payload.json);
}

it.each(vectors.frames)('matches the golden bytes of $type: $name', (vector) => {
  expect(Buffer.from(encodeFrame(frameOf(vector))).toString('hex')).toBe(vector.hex);
  expect(decodeFrame(Uint8Array.from(Buffer.from(vector.hex, 'hex')))).toEqual(frameOf(vector));
});

it.each(vectors.invalid)('refuses $name', ({ hex, error }) => {
  expect(() => decodeFrame(Buffer.from(hex, 'hex'))).toThrow(
    expect.objectContaining({ name: 'ProtocolError', code: error }),
  );
});

it('has a golden vector for each type, alone and with each of its flags', () => {
  const wanted = Object.entries(FLAGS_OF).flatMap(([type, flags]) =>
    [type].concat(flags.map((flag) => `${type} ${flag}`)),
  );
  const had = new Set(vectors.frames.map(({ type, flags }) => [type, ...flags.slice(0, 1)].join(' ')));
  expect(wanted.filter((name) => !had.has(name))).toEqual([]);
});

it('allows each type exactly the flags of PROTOCOL.md §3.2', () => {
  for (const [name, type] of Object.entries(TYPES)) {
    const allowed = Object.entries(FLAGS_OF).find(([other]) => other === name)?.[1] ?? [];
    const mask = allowed.reduce((sum, flag) => sum | FLAGS[flag], 0);
    for (let flags = 0; flags < 256; flags += 1) {
      const bytes = encodeFrame({ type, flags, channelId: 1, payload: new Uint8Array() });
      const isAllowed = (flags & ~mask) === 0;
      expect(isDecodable(bytes), `${name} with flags ${flags}`).toBe(isAllowed);
    }
  }
});

const frame = fc.constantFrom(...vectors.frames).chain((vector) =>
  fc.record({
    type: fc.constant(TYPES[vector.type]),
    flags: fc.constant(frameOf(vector).flags),
    channelId: fc.integer({ min: 0, max: 0xffff_ffff }),
    payload: fc.uint8Array({ maxLength: 2_000 }),
  }),
);

it('decodes what it encodes', () => {
  fc.assert(
    fc.property(frame, (value) => {
      expect(decodeFrame(encodeFrame(value))).toEqual(value);
    }),
  );
});

it('throws nothing but ProtocolError, whatever bytes come', () => {
  // Headers that are nearly right come further than noise does.
  const header = fc.tuple(fc.nat(2), fc.nat(13), fc.nat(17), fc.nat(1));
  const length = fc.nat(8).map((value) => [0, 0, 0, 1, value, 0, 0, 0]);
  const nearly = fc
    .tuple(header, length, fc.uint8Array({ maxLength: 8 }))
    .map((parts) => Uint8Array.from(parts.flatMap((part) => Array.from(part))));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 40 }), nearly), (bytes) => {
      expect(() => isDecodable(bytes)).not.toThrow();
    }),
    { numRuns: 2_000 },
  );
});

it('takes a payload of 65 536 bytes and not one more', () => {
  const of = (bytes: number): Frame => ({
    type: FrameType.Data,
    flags: 0,
    channelId: 1,
    payload: new Uint8Array(bytes),
  });
  const longest = encodeFrame(of(LIMITS.framePayloadBytesMax));
  expect(decodeFrame(longest).payload.byteLength).toBe(65_536);
  expect(() => encodeFrame(of(65_537))).toThrow('frame_too_large');
  const longer = new Uint8Array(longest.byteLength + 1);
  longer.set(longest);
  new DataView(longer.buffer).setUint32(8, 65_537, true);
  expect(() => decodeFrame(longer)).toThrow('frame_too_large');
});

it('decodes a view into a larger buffer, and copies nothing', () => {
  const bytes = encodeFrame({ type: FrameType.Data, flags: 0, channelId: 9, payload: Uint8Array.of(1, 2) });
  const buffer = new Uint8Array(bytes.byteLength + 10);
  buffer.set(bytes, 5);
  const decoded = decodeFrame(buffer.subarray(5, 5 + bytes.byteLength));
  expect(decoded).toMatchObject({ channelId: 9, payload: Uint8Array.of(1, 2) });
  expect(decoded.payload.buffer).toBe(buffer.buffer);
});

/** False when the bytes break the protocol; anything else that is thrown is a bug. */
function isDecodable(bytes: Uint8Array): boolean {
  try {
    decodeFrame(bytes);
    return true;
  } catch (error) {
    if (error instanceof ProtocolError) return false;
    throw error;
  }
}
