import { expect, it } from 'vitest';
import { freeMemory } from './free-memory.ts';

it('frees the memory that bytes are all of, at once, and once', () => {
  const before = process.memoryUsage().arrayBuffers;
  const bytes = Buffer.allocUnsafeSlow(64 * 1024 * 1024);
  freeMemory(bytes);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1024 * 1024);
  expect(bytes.byteLength).toBe(0);
  freeMemory(bytes);
});

it('leaves alone what is only a part of some memory', () => {
  const memory = Buffer.from(new ArrayBuffer(10));
  freeMemory(memory.subarray(1));
  freeMemory(memory.subarray(0, 9));
  expect(memory.byteLength).toBe(10);
});
