import { fileURLToPath } from 'node:url';
import type { Carrier } from './carrier.ts';
import { Worker } from './worker.ts';

const PIPE_MAIN = fileURLToPath(new URL('./pipe-main.ts', import.meta.url));

/** Three processes of Node in a row, with TLS between them, that only pass bytes on: what a tunnel's hops cost at the least. */
export async function startPipes(sinkPort: number): Promise<Carrier> {
  await using ownership = new AsyncDisposableStack();
  const start = async <Ready>(...args: readonly (string | number)[]) =>
    ownership.use(await Worker.start<never, null, Ready>(PIPE_MAIN, args.map(String)));
  const relay = await start<readonly [operatorPort: number, agentPort: number]>('relay');
  const agent = await start<null>('agent', relay.ready[1], sinkPort);
  const operator = await start<number>('operator', relay.ready[0]);
  const owned = ownership.move();
  return {
    port: operator.ready,
    pids: () => ({ operator: [operator.pid], relay: [relay.pid], agent: [agent.pid] }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
