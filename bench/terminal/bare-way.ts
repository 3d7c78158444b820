import { on, once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { TestProcess } from '@drawbridge/testkit';
import { WebSocket } from 'ws';
import type { TerminalWay } from './terminal-way.ts';

const MAIN = fileURLToPath(new URL('./bare-server-main.ts', import.meta.url));

/** node-pty and `ws` in a process of their own, seen by `ws` in this one. */
export async function bareWay(): Promise<TerminalWay & AsyncDisposable> {
  const server = await TestProcess.start({ command: process.execPath, args: [MAIN], env: process.env });
  const findPort = () => server.stdout.lines.map((line) => /^ready (\d+)$/.exec(line)?.[1]).at(0);
  const port = await server.waitFor(findPort, { what: 'the bare server', timeoutMs: 10_000 });
  return {
    async open(command) {
      const ws = new WebSocket(`ws://127.0.0.1:${port}/?command=${encodeURIComponent(command)}`, {
        perMessageDeflate: false,
      });
      const messages = on(ws, 'message', { close: ['close'] });
      await once(ws, 'open');
      return {
        output: bytesOf(messages),
        write: async (bytes) => ws.send(bytes),
        async [Symbol.asyncDispose]() {
          ws.terminate();
        },
      };
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function* bytesOf(messages: AsyncIterable<unknown[]>): AsyncGenerator<Uint8Array> {
  for await (const [data] of messages) if (data instanceof Uint8Array) yield data;
}
