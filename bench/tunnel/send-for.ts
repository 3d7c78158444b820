import type { Socket } from 'node:net';
import { CHUNK } from './talk.ts';

/** Sends as fast as `socket` takes it for `forMs`, then ends. A connection that breaks meanwhile ends it as well. */
export function sendFor(socket: Socket, forMs: number): void {
  const untilMs = performance.now() + forMs;
  const send = () => {
    while (!socket.destroyed) {
      if (performance.now() >= untilMs) {
        socket.off('drain', send);
        socket.end();
        return;
      }
      if (!socket.write(CHUNK)) return;
    }
  };
  socket.on('drain', send);
  send();
}
