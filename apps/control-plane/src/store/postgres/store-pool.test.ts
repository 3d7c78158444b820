import { once } from 'node:events';
import { createServer } from 'node:net';
import { listeningPort } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { connectionSettings } from './connection-settings.ts';
import { StorePool } from './store-pool.ts';

/** A message of PostgreSQL's protocol: its kind, its length and its body. */
function message(kind: string, body: Buffer): Buffer {
  const header = Buffer.alloc(5);
  header.write(kind);
  header.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([header, body]);
}

/** Signs in, is ready, and ends: all in one piece, as the last words of a dying server may come. */
const WELCOME_AND_FAREWELL = Buffer.concat([
  message('R', Buffer.alloc(4)),
  message('Z', Buffer.from('I')),
  message('E', Buffer.from('SFATAL\0C57P01\0Mterminating connection\0\0')),
]);

it('survives a server that ends a connection in the moment in which it is borrowed', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end(WELCOME_AND_FAREWELL));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `postgres://me@127.0.0.1:${listeningPort(server)}/none`;
  const settings = connectionSettings(url, { pauseMsMax: 1_000, takeoverMsMax: 1_000 });
  const pool = new StorePool({ settings, lock: { term: 1, hold: () => Promise.resolve(1) }, connectionsMax: 1 });
  const client = await pool.connect();
  await expect(client.query('select 1', [])).rejects.toMatchObject({ code: 'store_unavailable' });
  client.release();
  await pool.end();
  server.close();
  await once(server, 'close');
});
