/**
 * Frees, now, the memory that `bytes` are all of; what is only a part of some memory is left to the garbage collector. Nobody may
 * use the bytes any more: they are empty from here on.
 *
 * Without this a fast stream leaves its buffers to V8, which looks through the whole heap for every few dozen megabytes of them,
 * several times a second: that costs more than the stream.
 */
export function freeMemory({ buffer, byteLength }: Uint8Array): void {
  if (byteLength > 0 && byteLength === buffer.byteLength && buffer instanceof ArrayBuffer) buffer.transfer(0);
}
