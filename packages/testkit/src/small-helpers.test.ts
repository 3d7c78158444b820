import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { findProgram } from './find-program.ts';
import { LineBuffer } from './line-buffer.ts';
import { scaled } from './scale.ts';
import { SeededRandom, withSeed } from './seed.ts';
import { TempDir } from './temp-dir.ts';

describe('scale', () => {
  it.each([
    ['1', 1000, 1000],
    ['', 1000, 1000],
    ['0.1', 1000, 100],
    ['0.001', 1000, 5],
  ])('DRAWBRIDGE_SCALE=%s makes %i into %i, never less than the least', (scale, full, expected) => {
    expect(scaled(full, 5, { DRAWBRIDGE_SCALE: scale })).toBe(expected);
  });

  it.each(['0', '-1', 'big', 'Infinity'])('refuses DRAWBRIDGE_SCALE=%s', (scale) => {
    expect(() => scaled(1, 1, { DRAWBRIDGE_SCALE: scale })).toThrow(`DRAWBRIDGE_SCALE: ${scale}`);
  });
});

describe('a seed', () => {
  it('gives the same numbers again, and another seed others', () => {
    const numbers = (seed: number) => Array.from({ length: 10 }, new SeededRandom(seed).next);
    expect(numbers(7)).toEqual(numbers(7));
    expect(numbers(7)).not.toEqual(numbers(8));
    expect(new Set(numbers(7)).size).toBe(10);
  });

  it('gives each number of a range, and none outside', () => {
    const random = new SeededRandom(1);
    const seen = Array.from({ length: 200 }, () => random.integer(2, 5));
    expect(new Set(seen)).toEqual(new Set([2, 3, 4, 5]));
  });

  it('gives bytes and choices', () => {
    const random = new SeededRandom(1);
    expect(random.bytes(1000).byteLength).toBe(1000);
    expect(['a', 'b']).toContain(random.pick(['a', 'b']));
    expect(() => random.pick([])).toThrow('nothing to pick from');
  });

  it('is named when the test fails, and can be given', async () => {
    const cause = new Error('lost a frame');
    const failing = withSeed(() => Promise.reject(cause), { DRAWBRIDGE_SEED: '42' });
    await expect(failing).rejects.toThrow(
      expect.objectContaining({ message: 'DRAWBRIDGE_SEED=42: lost a frame', cause }),
    );
    expect(await withSeed(({ seed }) => seed, { DRAWBRIDGE_SEED: '42' })).toBe(42);
    await expect(withSeed(() => {}, { DRAWBRIDGE_SEED: '-1' })).rejects.toThrow('DRAWBRIDGE_SEED: -1');
  });
});

describe('a temporary directory', () => {
  it('is gone at the end, with everything in it', async () => {
    let path: string;
    {
      await using dir = await TempDir.make();
      path = dir.join('file');
      await writeFile(path, 'x');
    }
    expect(existsSync(path)).toBe(false);
  });

  it('is another one each time', async () => {
    await using one = await TempDir.make();
    await using two = await TempDir.make();
    expect(one.path).not.toBe(two.path);
  });
});

describe('a line buffer', () => {
  it('joins what was cut, inside a line and inside a character', () => {
    const lines = new LineBuffer();
    for (const byte of Buffer.from('naïve\nsecond\nopen')) lines.push(Uint8Array.of(byte));
    expect(lines.lines).toEqual(['naïve', 'second']);
    expect(lines.text).toBe('naïve\nsecond\nopen');
  });

  it('keeps the last lines only', () => {
    const lines = new LineBuffer(2);
    lines.push(Buffer.from('1\n2\n3\n4'));
    expect(lines.lines).toEqual(['2', '3']);
  });
});

it('finds the first program that is there', () => {
  expect(findProgram('no-such-program', 'sh')).toMatch(/\/sh$/);
  expect(findProgram('no-such-program')).toBeUndefined();
});
