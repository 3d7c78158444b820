import { once } from 'node:events';
import { createServer } from 'node:net';
import { listeningPort } from '@drawbridge/testkit';

/** A port of the loopback that nobody has, for programs that cannot choose one themselves. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const port = listeningPort(server);
  server.close();
  await once(server, 'close');
  return port;
}
