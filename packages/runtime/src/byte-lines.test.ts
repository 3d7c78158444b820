import { expect, it } from 'vitest';
import { byteLines } from './byte-lines.ts';

async function* of(...chunks: string[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield Buffer.from(chunk);
}

const lines = (source: AsyncIterable<Uint8Array>, max = 10) =>
  Array.fromAsync(
    byteLines(source, max, () => new Error('too long')),
    String,
  );

it('finds lines over the ends of chunks, empty ones and one without an end', async () => {
  expect(await lines(of('a', 'b\n\nc', '', '\nd'))).toEqual(['ab', '', 'c', 'd']);
});

it('holds no more of a line than it may', async () => {
  expect(await lines(of('12345', '67890\n'))).toEqual(['1234567890']);
  await expect(lines(of('12345', '678901'))).rejects.toThrow('too long');
});
