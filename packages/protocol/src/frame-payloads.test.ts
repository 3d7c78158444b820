import * as fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { ProtocolError } from './errors.ts';
import {
  ChannelAckPayload,
  ChannelOpenPayload,
  ClosePayload,
  ConnectAckPayload,
  ConnectPayload,
  ControlPayload,
  decodeJson,
  decodeU32,
  encodeJson,
  encodeU32,
  ErrorPayload,
} from './frame-payloads.ts';
import { LIMITS } from './limits.ts';

/** The schema of each kind of JSON payload, by type and flag as the vectors name them. */
const SCHEMAS: Readonly<Record<string, z.ZodType>> = {
  CONNECT: ConnectPayload,
  CONNECT_ACK: ConnectAckPayload,
  'CONNECT_ACK ERR': ErrorPayload,
  CHANNEL_OPEN: ChannelOpenPayload,
  'CHANNEL_OPEN ERR': ErrorPayload,
  CHANNEL_ACK: ChannelAckPayload,
  'CHANNEL_ACK ERR': ErrorPayload,
  CLOSE: ClosePayload,
  CONTROL: ControlPayload,
};

const Vectors = z.object({
  frames: z.array(
    z.object({ type: z.string(), flags: z.array(z.string()), payload: z.object({ json: z.unknown().optional() }) }),
  ),
});

const golden = Vectors.parse(JSON.parse(readFileSync(new URL('../vectors/frames.json', import.meta.url), 'utf8')))
  .frames.map(({ type, flags, payload }) => ({ name: [type, ...flags].join(' '), json: payload.json }))
  .filter(({ name }) => name in SCHEMAS);

it.each(golden)('decodes the golden payload of $name, and ignores a field it does not know', ({ name, json }) => {
  const schema = SCHEMAS[name] ?? z.never();
  expect(decodeJson(schema, encodeJson(json))).toEqual(json);
  const later = decodeJson(schema, encodeJson(Object.assign({}, json, { later: 1 })));
  expect(later).toMatchObject(Object.assign({}, json));
});

it('has a golden payload for every schema', () => {
  expect(Object.keys(SCHEMAS).filter((name) => !golden.some((vector) => vector.name === name))).toEqual([]);
});

it.each([
  ['no JSON', Buffer.from('{')],
  ['nothing', Buffer.alloc(0)],
  ['bytes that are no UTF-8', Buffer.from([0x22, 0xff, 0x22])],
  ['a list', Buffer.from('[]')],
  ['null', Buffer.from('null')],
  ['another shape', Buffer.from('{"code":"0","reason":""}')],
  ['a code out of range', Buffer.from('{"code":256,"reason":""}')],
  ['too long a reason', encodeJson({ code: 0, reason: 'x'.repeat(LIMITS.reasonCharactersMax + 1) })],
  ['more than 16 KiB', encodeJson({ code: 0, reason: '', more: 'x'.repeat(LIMITS.frameJsonBytesMax) })],
])('refuses a CLOSE of %s', (_what, payload) => {
  expect(() => decodeJson(ClosePayload, payload)).toThrow(expect.objectContaining({ code: 'frame_payload' }));
});

it.each([-1, 0.5, LIMITS.windowBytesMax + 1])('refuses a window of %d', (window) => {
  expect(() => decodeJson(ChannelAckPayload, encodeJson({ window }))).toThrow(ProtocolError);
});

it('throws nothing but ProtocolError, whatever JSON or bytes come', () => {
  const payload = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    fc.json().map((text) => new TextEncoder().encode(text)),
  );
  fc.assert(
    fc.property(fc.constantFrom(...Object.values(SCHEMAS)), payload, (schema, bytes) => {
      expect(() => isDecodable(schema, bytes)).not.toThrow();
    }),
    { numRuns: 500 },
  );
});

it('decodes the u32 it encodes, little endian, from any view', () => {
  expect([...encodeU32(0x01020304)]).toEqual([4, 3, 2, 1]);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), fc.nat(5), (value, offset) => {
      const buffer = new Uint8Array(offset + 4);
      buffer.set(encodeU32(value), offset);
      expect(decodeU32(buffer.subarray(offset))).toBe(value);
    }),
  );
});

it.each([0, 3, 5])('refuses a u32 of %i bytes', (bytes) => {
  expect(() => decodeU32(new Uint8Array(bytes))).toThrow(ProtocolError);
});

/** False when the payload breaks the protocol; anything else that is thrown is a bug. */
function isDecodable(schema: z.ZodType, bytes: Uint8Array): boolean {
  try {
    decodeJson(schema, bytes);
    return true;
  } catch (error) {
    if (error instanceof ProtocolError) return false;
    throw error;
  }
}
