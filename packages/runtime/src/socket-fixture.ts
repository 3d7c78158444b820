import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** For tests: both ends of a TCP connection on loopback. `b` is as a server gets it, half-open only when that is asked for. */
export async function tcpPair({ allowHalfOpen = true } = {}): Promise<{ a: Socket; b: Socket }> {
  const server = createServer({ allowHalfOpen });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const a = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true });
  const [b] = (await once(server, 'connection')) as [Socket];
  server.close();
  for (const socket of [a, b]) socket.on('error', () => undefined);
  return { a, b };
}

/** For tests: all that a socket brings until its end, which does not end the other direction. */
export async function readAll(socket: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(socket, 'end');
  return Buffer.concat(chunks);
}
