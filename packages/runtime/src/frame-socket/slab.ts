import { freeMemory } from '../free-memory.ts';

/** Four frames of a tunnel with the longest payload, and their headers: what leaves in one write, in as few TLS records as there can be. */
export const SLAB_BYTES = 264 * 1024;

/** Slabs kept for the next writer, of the whole process: 1 MiB. The others are freed. */
const SPARE_MAX = 4;

const spare: Buffer[] = [];

/** A buffer that several frames are gathered in. */
export function takeSlab(): Buffer {
  return spare.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES);
}

/** Nobody may read or write the slab from here on, the network included. */
export function giveSlabBack(slab: Buffer): void {
  if (spare.length < SPARE_MAX) spare.push(slab);
  else freeMemory(slab);
}
