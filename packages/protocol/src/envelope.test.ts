import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { decodeMessage, encodeMessage, envelope, firstIssue, utf8Bytes } from './envelope.ts';
import { LIMITS } from './limits.ts';

const Ping = envelope('ping', z.object({ text: z.string() }));

function ping(text: string) {
  return { id: 'm1', type: 'ping', timestamp: '2026-01-07T10:05:00.000Z', payload: { text } } as const;
}

const OVERHEAD_BYTES = Buffer.byteLength(encodeMessage(ping('')));

it('reads what it wrote, whatever characters it holds', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(decodeMessage(Ping, encodeMessage(ping(text)))).toEqual({ ok: true, message: ping(text) });
    }),
  );
});

it('counts bytes as UTF-8 does', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(utf8Bytes(text)).toBe(Buffer.byteLength(text));
    }),
  );
});

it.each([
  ['a', 1],
  ['é', 2],
  ['€', 3],
])('writes just as many bytes of %s as a message may have, and not one more', (character, bytes) => {
  const fits = Math.floor((LIMITS.messageBytesMax - OVERHEAD_BYTES) / bytes);
  expect(Buffer.byteLength(encodeMessage(ping(character.repeat(fits))))).toBeLessThanOrEqual(LIMITS.messageBytesMax);
  expect(() => encodeMessage(ping(character.repeat(fits + 1)))).toThrow(
    expect.objectContaining({ code: 'payload_too_large' }),
  );
});

it('throws for what is no JSON', () => {
  expect(() => decodeMessage(Ping, '{')).toThrow(expect.objectContaining({ code: 'message_json' }));
});

it('never throws for anything else, and names the message it refuses', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      expect(decodeMessage(Ping, text).ok).toBe(false);
    }),
  );
  expect(decodeMessage(Ping, '{"id":"m1"}')).toMatchObject({ ok: false, ref: 'm1' });
  expect(decodeMessage(Ping, 'null')).toMatchObject({ ok: false, ref: undefined });
  expect(decodeMessage(Ping, '{"id":7}')).toMatchObject({ ok: false, ref: undefined });
});

it('says where and what is wrong, in few words', () => {
  const parsed = z.object({ a: z.object({ b: z.string() }) }).safeParse({ a: { b: 7 } });
  expect(parsed.error === undefined ? '' : firstIssue(parsed.error)).toMatch(/^a\.b: .*string/);
});
