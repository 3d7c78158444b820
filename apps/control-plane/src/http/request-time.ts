import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Connections whose request may take longer to arrive than the server allows. */
const unhurried = new WeakMap<Socket, number>();

/** From now on nobody but whoever serves this request says how long it may take, until it is answered: an upload lasts as long as it moves. */
export function takesItsTime(request: IncomingMessage, reply: ServerResponse): void {
  const { socket } = request;
  // One may begin before the one before it on the same connection has ended.
  const add = (count: number) => void unhurried.set(socket, (unhurried.get(socket) ?? 0) + count);
  add(1);
  reply.once('close', () => add(-1));
}

/** Whether the request that now arrives by this connection may take its time. */
export function mayTakeItsTime(socket: Socket): boolean {
  return (unhurried.get(socket) ?? 0) > 0;
}
