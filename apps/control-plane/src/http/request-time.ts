import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Connections whose request may take longer to arrive than the server allows. */
const unhurried = new WeakSet<Socket>();

/** From now on nobody but whoever serves this request says how long it may take, until it is answered: an upload lasts as long as it moves. */
export function takesItsTime(request: IncomingMessage, reply: ServerResponse): void {
  const { socket } = request;
  unhurried.add(socket);
  reply.once('close', () => unhurried.delete(socket));
}

/** Whether the request that now arrives by this connection may take its time. */
export function mayTakeItsTime(socket: Socket): boolean {
  return unhurried.has(socket);
}
