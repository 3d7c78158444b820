import type { Socket } from 'node:net';

/** Ends a TCP connection at once, so that the other side sees a failure and not an end. */
export function resetSocket(socket: Socket): void {
  // While a socket says its end it cannot be reset: Node would let go of it without closing it, and its `close` never come. All
  // that was written is with the system by then.
  const isEnding = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
  if (isEnding) socket.destroy();
  else socket.resetAndDestroy();
}
