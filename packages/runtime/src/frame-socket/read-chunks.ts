import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { freeMemory } from '../free-memory.ts';

/** What TLS gives at once: one record (RFC 8446 §5.1). */
const TLS_CHUNK_BYTES = 16 * 1024;
/** What the system gives at once. */
const TCP_CHUNK_BYTES = 64 * 1024;

/** Who hears what a connection brings. A chunk is good until the call returns: then its memory is used, or freed. */
export type OnChunk = (chunk: Buffer) => void;

/** Hears a paused connection that nobody else reads, from when it is resumed. After a pause up to one more read of the system comes. */
export function readChunks(connection: Duplex, onChunk: OnChunk): void {
  const isNetwork = connection instanceof Socket;
  // What had been read before comes this way in any case.
  connection.on('data', (chunk: Buffer) => {
    onChunk(chunk);
    if (isNetwork) freeMemory(chunk);
  });
  if (isNetwork) readIntoBuffer(connection, onChunk);
}

/**
 * Has all that comes written into one buffer, as the option `onread` of `net.connect` would; a socket that was accepted, or that TLS
 * was put on, has no such option. So this sets what the option sets (decision 17), and nothing where Node does not keep it there: then
 * each chunk is memory of its own, which costs a tenth more of a fast stream.
 */
function readIntoBuffer(socket: Socket, onChunk: OnChunk): void {
  const slots = Object.getOwnPropertySymbols(socket);
  const bufferSlot = slots.find(({ description }) => description === 'kBuffer');
  const listenerSlot = slots.find(({ description }) => description === 'kBufferCb');
  const handle: unknown = Reflect.get(socket, '_handle');
  if (bufferSlot === undefined || listenerSlot === undefined || !canUseBuffer(handle)) return;
  const buffer = Buffer.allocUnsafeSlow(socket instanceof TLSSocket ? TLS_CHUNK_BYTES : TCP_CHUNK_BYTES);
  Object.assign(socket, {
    [bufferSlot]: buffer,
    [listenerSlot](length: number) {
      onChunk(buffer.subarray(0, length));
      return true;
    },
  });
  handle.useUserBuffer(buffer);
}

function canUseBuffer(handle: unknown): handle is { useUserBuffer(buffer: Buffer): void } {
  return (
    typeof handle === 'object' &&
    handle !== null &&
    'useUserBuffer' in handle &&
    typeof handle.useUserBuffer === 'function'
  );
}
