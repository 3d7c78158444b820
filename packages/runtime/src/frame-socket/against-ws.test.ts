import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  MAX_PAYLOAD_BYTES,
  type Outcome,
  type RawFrame,
  type Role,
  feedFrameSocket,
  feedWs,
  rawFrame,
} from './raw-wire-fixture.ts';

/** Where the two differ on purpose: RFC 6455 §5.2 wants the shortest length and no sign bit, `ws` does not look. */
const OURS_ALONE = new Set(['a length said too long', 'a length of 64 bits']);

const key = fc.uint8Array({ minLength: 4, maxLength: 4 });
const text = fc.string({ unit: 'binary', maxLength: 80 }).map((value) => Buffer.from(value));
const bytes = fc.oneof(
  { weight: 8, arbitrary: fc.uint8Array({ maxLength: 300 }) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: MAX_PAYLOAD_BYTES + 2 }).map((length) => new Uint8Array(length)) },
  { weight: 1, arbitrary: fc.constant(new Uint8Array(70_000)) },
);
const control = fc.uint8Array({ maxLength: 125 });
const close = fc.tuple(fc.oneof(fc.integer({ min: 990, max: 1020 }), fc.integer({ min: 0, max: 5001 })), text);

type Bare = Omit<RawFrame, 'key'>;

const whole: fc.Arbitrary<Bare[]> = fc.oneof(
  bytes.map((payload) => [{ opcode: 2, payload }]),
  text.map((payload) => [{ opcode: 1, payload }]),
  fc.uint8Array({ maxLength: 30 }).map((payload) => [{ opcode: 1, payload }]),
);
const controls: fc.Arbitrary<Bare> = fc.record({ opcode: fc.constantFrom(9, 10), payload: control });

/** A message in pieces, a control frame between some of them. */
const inPieces: fc.Arbitrary<Bare[]> = fc
  .tuple(
    fc.constantFrom(1, 2),
    fc.oneof(
      fc.array(fc.tuple(fc.oneof(text, bytes), fc.option(controls)), { minLength: 2, maxLength: 8 }),
      fc.constant(Array.from({ length: 70 }, () => [Buffer.of(), null] as const)),
    ),
  )
  .map(([opcode, pieces]) =>
    pieces.flatMap(([payload, between], index) => [
      { opcode: index === 0 ? opcode : 0, payload, isFinal: index === pieces.length - 1 },
      ...(between === null ? [] : [between]),
    ]),
  );

const closing: fc.Arbitrary<Bare[]> = close.map(([code, reason]) => [
  { opcode: 8, payload: Buffer.concat([Buffer.of(code >> 8, code & 0xff), reason]).subarray(0, 125) },
]);
const emptyClosing: fc.Arbitrary<Bare[]> = fc.constantFrom([{ opcode: 8, payload: Buffer.of() }]);

/** Anything a frame can be, most of it forbidden. */
const wild: fc.Arbitrary<Bare[]> = fc
  .record({
    opcode: fc.integer({ min: 0, max: 15 }),
    payload: fc.uint8Array({ maxLength: 140 }),
    isFinal: fc.boolean(),
    reserved: fc.constantFrom(0, 0, 0, 1, 2, 4),
  })
  .map((frame) => [frame]);

const wellFormed = fc.array(
  fc.oneof(
    whole,
    inPieces,
    controls.map((frame) => [frame]),
  ),
  { maxLength: 6 },
);
const ending = fc.oneof(closing, emptyClosing, wild, fc.constant<Bare[]>([]));

/** A stream of frames, cut into chunks anywhere; `isAsAgreed` is false for the rare peer that does not mask as it should. */
const stream = fc
  .tuple(wellFormed, ending, wellFormed, fc.infiniteStream(key), fc.integer({ min: 0, max: 15 }), cuts())
  .map(([before, end, after, keys, oneIn16, cut]) => ({
    in: (role: Role): Buffer[] => {
      const isAsAgreed = oneIn16 > 0;
      const frames = [...before, end, ...after].flat();
      const raw = frames.map((frame) => {
        const isMasked = (role === 'server') === isAsAgreed;
        return rawFrame({ ...frame, key: isMasked ? keys.next().value : undefined });
      });
      return cut(Buffer.concat(raw));
    },
  }));

/** What no peer ever sends. The end is long enough for every header that began to be complete. */
const garbage = fc
  .tuple(fc.uint8Array({ minLength: 1, maxLength: 400 }), cuts())
  .map(([noise, cut]) => cut(Buffer.concat([noise, Buffer.alloc(16)])));

function cuts(): fc.Arbitrary<(bytes: Buffer) => Buffer[]> {
  const sizes = fc.oneof(
    fc.constant([Number.POSITIVE_INFINITY]),
    fc.array(fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 2_000 })), { minLength: 1 }),
  );
  return sizes.map((sizes) => (bytes: Buffer) => {
    const pieces: Buffer[] = [];
    let at = 0;
    for (const size of sizes) {
      pieces.push(bytes.subarray(at, at + size));
      at += size;
    }
    return [...pieces, bytes.subarray(at)];
  });
}

async function expectTheSame(role: Role, pieces: readonly Buffer[]): Promise<void> {
  const [ours, theirs] = await Promise.all([feedFrameSocket(role, pieces), feedWs(role, pieces)]);
  if (ours.error !== undefined && OURS_ALONE.has(ours.error)) {
    expect(ours.closedWith).toBe(1002);
    return;
  }
  expect(whatCounts(ours)).toEqual(whatCounts(theirs));
  expectSomeOf(theirs.pongs, ours.pongs);
}

/** Each has words of its own for an error. */
function whatCounts({ messages, end, closedWith, error }: Outcome): unknown {
  return { messages, end, closedWith, isBroken: error !== undefined };
}

/** RFC 6455 §5.5.3: of several pings that wait the last one is enough. */
function expectSomeOf(all: readonly string[], some: readonly string[]): void {
  let at = 0;
  for (const pong of some) at = all.indexOf(pong, at) + 1 || Number.POSITIVE_INFINITY;
  expect(at).toBeLessThanOrEqual(all.length);
}

describe.each<Role>(['server', 'client'])('as the %s', (role) => {
  it('hears from a stream of frames what ws hears, however it is cut, and ends as ws does', async () => {
    await fc.assert(
      fc.asyncProperty(stream, (bytes) => expectTheSame(role, bytes.in(role))),
      { numRuns: 300 },
    );
  });

  it('takes garbage as ws does', async () => {
    await fc.assert(
      fc.asyncProperty(garbage, (pieces) => expectTheSame(role, pieces)),
      { numRuns: 300 },
    );
  });
});
