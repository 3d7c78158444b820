import { once } from 'node:events';
import { expect, it } from 'vitest';
import { resetSocket } from './reset-socket.ts';
import { tcpPair } from './socket-fixture.ts';

it('is felt by the other side as a failure', async () => {
  const { a, b } = await tcpPair();
  const failed = new Promise<NodeJS.ErrnoException>((resolve) => b.once('error', resolve));
  b.resume();
  resetSocket(a);
  expect((await failed).code).toBe('ECONNRESET');
});

it('closes a socket that is just saying its end', async () => {
  const { a, b } = await tcpPair();
  if (a.connecting) await once(a, 'connect');
  const closed = once(a, 'close');
  a.end('last words');
  expect([a.writableLength, a.writableFinished]).toEqual([0, false]);
  resetSocket(a);
  await closed;
  b.destroy();
});
