import type { MessageSocket } from '@drawbridge/link';
import type { Direction, MessageTraffic } from './message-traffic.ts';

/** Where a frame says its type (PROTOCOL.md §3.2). */
const TYPE_OFFSET = 1;
const NO_TYPE = -1;

/** The leg of a tunnel, each of whose frames is counted on its way; nothing else about it changes. */
export function countedSocket(socket: MessageSocket, traffic: MessageTraffic): MessageSocket {
  const count = (direction: Direction, message: string | Uint8Array) => {
    if (typeof message === 'string') traffic.frame(direction, NO_TYPE, Buffer.byteLength(message));
    else traffic.frame(direction, message[TYPE_OFFSET] ?? NO_TYPE, message.byteLength);
  };
  return {
    get bufferedBytes() {
      return socket.bufferedBytes;
    },
    send(message) {
      count('out', message);
      socket.send(message);
    },
    ...(socket.sendParts && {
      sendParts(header: Uint8Array, payload: Uint8Array) {
        traffic.frame('out', header[TYPE_OFFSET] ?? NO_TYPE, header.byteLength + payload.byteLength);
        socket.sendParts?.(header, payload);
      },
    }),
    close: (code, reason) => socket.close(code, reason),
    terminate: () => socket.terminate(),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    listen: (listener) =>
      socket.listen({
        message(message) {
          count('in', message);
          listener.message(message);
        },
        alive: () => listener.alive?.(),
        drained: () => listener.drained?.(),
        closed: (end) => listener.closed(end),
      }),
  };
}
