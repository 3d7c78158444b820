import type { Clock, Timer } from '@drawbridge/link';
import type { WebSocket } from 'ws';

/** How often a viewer is asked whether it is there, and how long it may say nothing at all (OpenSandbox's numbers). */
const PING_MS = 30_000;
const SILENCE_MS = 60_000;

/** Asks the other end of a WebSocket again and again whether it is there, and drops the connection when it says nothing. */
export function keepAlive(ws: WebSocket, clock: Clock): Disposable {
  let heardMs = clock.monotonic();
  const heard = () => (heardMs = clock.monotonic());
  const look = (): Timer =>
    clock.after(PING_MS, () => {
      if (clock.monotonic() - heardMs >= SILENCE_MS) return ws.terminate();
      ws.ping();
      timer = look();
    });
  let timer = look();
  ws.on('message', heard);
  ws.on('pong', heard);
  return {
    [Symbol.dispose]() {
      timer.cancel();
      ws.off('message', heard);
      ws.off('pong', heard);
    },
  };
}
