import { randomFillSync } from 'node:crypto';
import { createRequire } from 'node:module';

/** What bufferutil does in compiled code: 64 KiB in 3 µs, where JavaScript takes 20. */
interface Masking {
  readonly mask: (source: Uint8Array, key: Uint8Array, target: Uint8Array, offset: number, length: number) => void;
}

/** Below this a call into compiled code costs more than it saves. */
const COMPILED_BYTES_MIN = 48;

/** Keys are drawn this many at a time. */
const KEYS_DRAWN = 2_048;
const KEY_BYTES = 4;

/**
 * Writes `source`, masked with `key`, into `target` from `offset` on; `source` stays as it is (RFC 6455 §5.3). Masked twice is as it
 * was.
 */
export function maskInto(target: Buffer, offset: number, source: Uint8Array, key: Uint8Array): void {
  if (source.byteLength >= COMPILED_BYTES_MIN) masking.mask(source, key, target, offset, source.byteLength);
  else for (let index = 0; index < source.byteLength; index += 1) target[offset + index] = xor(source, key, index);
}

/** The key as it is for what begins `offset` bytes into a payload. */
export function keyAt(key: Uint8Array, offset: number): Uint8Array {
  const turn = offset % KEY_BYTES;
  if (turn === 0) return key;
  const turned = new Uint8Array(KEY_BYTES);
  for (let index = 0; index < KEY_BYTES; index += 1) turned[index] = key[(index + turn) % KEY_BYTES] ?? 0;
  return turned;
}

const keys = Buffer.alloc(KEYS_DRAWN * KEY_BYTES);
let keysUsed = KEYS_DRAWN;

/** A key nobody can foresee. It is a view: good until the next one is asked for. */
export function freshKey(): Buffer {
  if (keysUsed === KEYS_DRAWN) {
    randomFillSync(keys);
    keysUsed = 0;
  }
  const at = keysUsed * KEY_BYTES;
  keysUsed += 1;
  return keys.subarray(at, at + KEY_BYTES);
}

function xor(bytes: Uint8Array, key: Uint8Array, index: number): number {
  return (bytes[index] ?? 0) ^ (key[index % KEY_BYTES] ?? 0);
}

/** For tests, and where nothing is compiled for the machine: four bytes at a time. */
export const plainMasking: Masking = {
  mask(source, key, target, offset, length) {
    const bytes = target.subarray(offset, offset + length);
    bytes.set(source);
    const headBytes = -bytes.byteOffset & 3;
    const wordsCount = Math.max(0, (bytes.byteLength - headBytes) >> 2);
    const tailAt = wordsCount === 0 ? 0 : headBytes + wordsCount * 4;
    for (let index = 0; index < Math.min(headBytes, tailAt); index += 1) bytes[index] = xor(bytes, key, index);
    for (let index = tailAt; index < bytes.byteLength; index += 1) bytes[index] = xor(bytes, key, index);
    if (wordsCount === 0) return;
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset + headBytes, wordsCount);
    // The key's bytes in the order of memory, whichever end this machine begins with.
    const [word = 0] = new Uint32Array(Uint8Array.from(keyAt(key, headBytes)).buffer);
    for (let index = 0; index < wordsCount; index += 1) words[index] = (words[index] ?? 0) ^ word;
  },
};

const masking = compiledMasking() ?? plainMasking;

/** bufferutil, where it is installed and compiled for this machine; its own fallback goes byte by byte. */
function compiledMasking(): Masking | undefined {
  try {
    const found = createRequire(import.meta.url)('bufferutil') as Masking;
    return Function.prototype.toString.call(found.mask).includes('[native code]') ? found : undefined;
  } catch {
    return undefined;
  }
}
