import { LIMITS } from '@drawbridge/protocol';
import { freeMemory } from '../free-memory.ts';

/** A frame of a tunnel with the longest payload. */
const MESSAGE_BYTES_MAX = LIMITS.frameHeaderBytes + LIMITS.framePayloadBytesMax;

/** Smaller messages are cheap to make anew, and would waste the room. */
const POOLED_BYTES_MIN = MESSAGE_BYTES_MAX / 2;

/** Rooms kept for the next messages, of the whole process: 1 MiB. The others are freed. */
const SPARE_MAX = 16;

const spare: ArrayBuffer[] = [];

/** Rooms that somebody has a message in: what is given back twice, or was never ours, is not here. */
const lent = new WeakSet<ArrayBufferLike>();

/**
 * Memory for a message of `length` bytes, which has it for itself. Who is done with the message may give the memory back; if nobody
 * does, it is collected like any other.
 */
export function takeMessage(length: number): Buffer {
  if (length < POOLED_BYTES_MIN || length > MESSAGE_BYTES_MAX) return Buffer.allocUnsafeSlow(length);
  const room = spare.pop() ?? Buffer.allocUnsafeSlow(MESSAGE_BYTES_MAX).buffer;
  lent.add(room);
  return Buffer.from(room, 0, length);
}

/** Nobody may read or write these bytes from here on: they, or what they are a part of, are used for another message. */
export function giveMessageBack({ buffer }: Uint8Array): void {
  if (!lent.delete(buffer) || !(buffer instanceof ArrayBuffer)) return;
  if (spare.length < SPARE_MAX) spare.push(buffer);
  else freeMemory(new Uint8Array(buffer));
}
