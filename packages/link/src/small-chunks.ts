/** Only chunks this small are worth a copy. */
const CHUNK_BYTES_MAX = 1024;
const MERGED_BYTES_MAX = 16 * 1024;

/** The whole of each buffer made here: tells our own chunks, which may be appended to, from a peer's message. */
const spaces = new WeakMap<ArrayBufferLike, Uint8Array>();

/**
 * Both chunks as one, copied, or undefined when they are better left apart. A chunk made here has room behind it that doubles
 * as it fills, so that appending byte by byte copies each byte a few times, not each time.
 */
export function appendSmall(first: Uint8Array, second: Uint8Array): Uint8Array | undefined {
  const length = first.byteLength + second.byteLength;
  if (second.byteLength > CHUNK_BYTES_MAX || length > MERGED_BYTES_MAX) return undefined;
  const space = spaces.get(first.buffer);
  if (space === undefined && first.byteLength > CHUNK_BYTES_MAX) return undefined;
  if (space !== undefined && space.byteLength >= length) {
    space.set(second, first.byteLength);
    return space.subarray(0, length);
  }
  const larger = new Uint8Array(2 * length);
  larger.set(first);
  larger.set(second, first.byteLength);
  spaces.set(larger.buffer, larger);
  return larger.subarray(0, length);
}
