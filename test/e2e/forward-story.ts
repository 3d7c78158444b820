import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { streamCli } from '@drawbridge/testkit';
import type { TestControlPlane, TestProcess } from '@drawbridge/testkit';
import { z } from 'zod';

const Line = z.looseObject({ type: z.string() });
export type ForwardLine = z.infer<typeof Line>;

/** `drawbridge forward … --json`, and what it says. */
export class ForwardProgram implements AsyncDisposable {
  readonly process: TestProcess;

  private constructor(process: TestProcess) {
    this.process = process;
  }

  /** Resolves when it listens. `via` is the control plane's address as it knows it. */
  static async start(plane: TestControlPlane, words: readonly string[], via = plane.url): Promise<ForwardProgram> {
    const env = { DRAWBRIDGE_URL: via, DRAWBRIDGE_TOKEN: plane.token };
    const program = new ForwardProgram(await streamCli(['forward', ...words, '--json'], { env }));
    // One line for each forward behind the agent's name.
    const all = () => program.ports.length === words.length - 1 || undefined;
    await program.process.waitFor(all, { what: 'the ports', timeoutMs: 30_000 });
    return program;
  }

  get lines(): ForwardLine[] {
    return this.process.stdout.lines.map((line) => Line.parse(JSON.parse(line)));
  }

  waitFor(matches: (line: ForwardLine) => boolean, timeoutMs = 30_000): Promise<ForwardLine> {
    return this.process.waitFor(() => this.lines.find(matches), { what: 'a line of forward', timeoutMs });
  }

  /** The ports it listens on, in the order in which they were asked for. */
  get ports(): number[] {
    return this.lines.filter(({ type }) => type === 'listening').map(({ port }) => z.number().parse(port));
  }

  /** Ends it as a person would, so that no lease is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.process.status === undefined) await this.process.stop();
    await this.process[Symbol.asyncDispose]();
  }
}

/** A server on a free port of the loopback, and what it does with a connection. */
export async function listen(serve: (socket: Socket) => void): Promise<Server & AsyncDisposable> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    serve(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

export function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** Sends `byteCount` random bytes to an echo, reads them back, and says whether they are the same. */
export async function echoes(port: number, byteCount: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const sent = createHash('sha256');
  const heard = createHash('sha256');
  let heardBytes = 0;
  socket.on('data', (chunk: Buffer) => {
    heardBytes += chunk.byteLength;
    heard.update(chunk);
  });
  const ended = once(socket, 'end');
  for (let left = byteCount; left > 0; left -= 65_536) {
    const chunk = randomBytes(Math.min(left, 65_536));
    sent.update(chunk);
    if (!socket.write(chunk)) await once(socket, 'drain');
  }
  socket.end();
  await ended;
  return heardBytes === byteCount && heard.digest('hex') === sent.digest('hex');
}

/** All that a connection answers to `text`; rejects when it is reset. `isHalfClosed`: nothing more is said, and that is said. */
export async function ask(port: number, text: string, isHalfClosed = false): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  let heard = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => (heard += chunk));
  socket.write(text);
  if (isHalfClosed) socket.end();
  await once(socket, 'end');
  socket.destroy();
  return heard;
}
