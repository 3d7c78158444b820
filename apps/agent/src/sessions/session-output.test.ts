import * as fc from 'fast-check';
import { expect, it, vi } from 'vitest';
import { settle } from '@drawbridge/testkit';
import { SessionOutput } from './session-output.ts';

/** Turns of the two streams that are remembered; the bytes before them are gone. */
const CHANGES_MAX = 16_384;

interface Byte {
  readonly value: number;
  readonly stderr: boolean;
}

/** What a session printed, byte by byte, and what is to be read of it. */
class Model {
  readonly #all: Byte[] = [];
  readonly #ringBytes: number;

  constructor(ringBytes: number) {
    this.#ringBytes = ringBytes;
  }

  append(bytes: Uint8Array, stderr: boolean): void {
    for (const value of bytes) this.#all.push({ value, stderr });
  }

  get start(): number {
    return Math.max(0, this.end - this.#ringBytes);
  }

  get end(): number {
    return this.#all.length;
  }

  read(wanted: number, bytesMax: number) {
    const offset = Math.min(Math.max(wanted, this.start), this.end);
    const from = this.#all.slice(offset);
    const turn = from.findIndex(({ stderr }) => stderr !== from[0]?.stderr);
    const ofOne = from.slice(0, Math.min(turn === -1 ? from.length : turn, bytesMax));
    return { offset, bytes: Uint8Array.from(ofOne, ({ value }) => value), stderr: from[0]?.stderr };
  }
}

const appends = fc.array(fc.tuple(fc.uint8Array({ maxLength: 12 }), fc.boolean()), { maxLength: 40 });

it('gives from any offset on what a list of all bytes would, of one stream at a time', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 64 }),
      appends,
      fc.integer({ min: 1, max: 20 }),
      (ringBytes, chunks, bytesMax) => {
        const output = new SessionOutput(ringBytes);
        const model = new Model(ringBytes);
        for (const [bytes, stderr] of chunks) {
          output.append(bytes, stderr);
          model.append(bytes, stderr);
          expect([output.startOffset, output.endOffset]).toEqual([model.start, model.end]);
        }
        for (let offset = -1; offset <= model.end + 1; offset += 1) {
          const { stderr, ...expected } = model.read(offset, bytesMax);
          const part = output.read(offset, bytesMax);
          expect(part).toMatchObject(expected);
          if (expected.bytes.byteLength > 0) expect(part.stderr).toBe(stderr);
        }
      },
    ),
  );
});

it('is empty in the beginning', () => {
  const output = new SessionOutput(10);
  expect(output.read(0, 10)).toMatchObject({ bytes: Uint8Array.of(), offset: 0, stderr: false });
  expect([output.startOffset, output.endOffset, output.isOver]).toEqual([0, 0, false]);
});

it('lets the oldest bytes go when the streams take turns too often, and keeps each byte of the rest with its stream', () => {
  const output = new SessionOutput(1024 * 1024);
  const total = CHANGES_MAX + 50;
  for (let at = 0; at < total; at += 1) {
    output.append(Uint8Array.of(at % 251), at % 2 === 1);
    if (at >= CHANGES_MAX - 1) expect(output.startOffset).toBe(at + 1 - CHANGES_MAX);
  }
  for (const offset of [0, 49, 50, 51, total - 1]) {
    const at = Math.max(offset, 50);
    expect(output.read(offset, 100)).toMatchObject({
      bytes: Uint8Array.of(at % 251),
      offset: at,
      stderr: at % 2 === 1,
    });
  }
});

it('does not count turns whose bytes have left the ring', () => {
  const output = new SessionOutput(100);
  for (let at = 0; at < 2 * CHANGES_MAX; at += 1) output.append(new Uint8Array(10), at % 2 === 1);
  expect(output.startOffset).toBe(output.endOffset - 100);
});

/** How often news came to somebody who waits for it again and again. */
function listener(output: SessionOutput) {
  const heard = vi.fn<() => void>();
  const wait = () =>
    void output.news().then(() => {
      heard();
      wait();
    });
  wait();
  return heard;
}

it('wakes who waits with each piece, and with the end', async () => {
  const output = new SessionOutput(10);
  const heard = [listener(output), listener(output)];
  const times = async () => {
    await settle();
    return heard.map(({ mock }) => mock.calls.length);
  };
  expect(await times()).toEqual([0, 0]);
  output.append(Uint8Array.of(1), false);
  expect(await times()).toEqual([1, 1]);
  output.append(Uint8Array.of(), false);
  expect(await times()).toEqual([1, 1]);
  output.append(Uint8Array.of(2), true);
  expect(await times()).toEqual([2, 2]);
  output.end();
  expect(await times()).toEqual([3, 3]);
  expect(output.isOver).toBe(true);
});

it('has what was news when it says so', async () => {
  const output = new SessionOutput(10);
  const read = output.news().then(() => output.read(0, 10).bytes);
  output.append(Uint8Array.of(1), false);
  expect(await read).toEqual(Uint8Array.of(1));
  const over = output.news().then(() => output.isOver);
  output.end();
  expect(await over).toBe(true);
});

it('can still be read when it is over', () => {
  const output = new SessionOutput(10);
  output.append(Uint8Array.of(1, 2), true);
  output.end();
  expect(output.read(1, 10)).toMatchObject({ bytes: Uint8Array.of(2), offset: 1, stderr: true });
});
