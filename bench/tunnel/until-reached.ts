import { once } from 'node:events';
import { connect } from 'node:net';
import { eventually } from '@drawbridge/testkit';

/** Resolves when somebody accepts connections on a port of the loopback. */
export async function untilReached(port: number): Promise<void> {
  await eventually(
    async () => {
      const socket = connect(port, '127.0.0.1');
      try {
        await once(socket, 'connect');
        return true;
      } finally {
        socket.destroy();
      }
    },
    { what: `port ${port} to accept connections`, timeoutMs: 10_000 },
  );
}
