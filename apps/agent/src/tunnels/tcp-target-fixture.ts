import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, ListenOptions, Server, Socket } from 'node:net';

/** A listener on loopback that does as it is told with who connects; disposing it drops them all. */
export class TcpTarget implements AsyncDisposable {
  readonly #server: Server;
  readonly sockets = new Set<Socket>();
  /** How many have connected. */
  accepted = 0;

  private constructor(serve: (socket: Socket) => void) {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      this.accepted += 1;
      this.sockets.add(socket);
      socket.on('error', () => undefined).once('close', () => this.sockets.delete(socket));
      serve(socket);
    });
  }

  static async listen(serve: (socket: Socket) => void, where: ListenOptions = { host: '127.0.0.1', port: 0 }) {
    const target = new TcpTarget(serve);
    target.#server.listen(where);
    await once(target.#server, 'listening');
    return target;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** Says back what it hears, until it hears no more. */
export function echo(socket: Socket): void {
  socket.pipe(socket);
}

const DEAF = `
const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
  process.stdout.write(String(server.address().port), () => {
    for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });
});`;

/** A port on which connecting never ends: its process accepts nothing, and its queue is full. */
export async function deafTarget(): Promise<{ readonly port: number } & AsyncDisposable> {
  const child = spawn(process.execPath, ['-e', DEAF], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [text] = (await once(child.stdout, 'data')) as [Buffer];
  const port = Number(text.toString());
  const fillers = Array.from({ length: 8 }, () => connect({ port, host: '127.0.0.1' }).on('error', () => undefined));
  await Promise.any(fillers.map((socket) => once(socket, 'connect')));
  return {
    port,
    async [Symbol.asyncDispose]() {
      for (const socket of fillers) socket.destroy();
      child.kill('SIGKILL');
      await once(child, 'close');
    },
  };
}
