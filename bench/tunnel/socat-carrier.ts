import { findProgram, TestProcess } from '@drawbridge/testkit';
import type { Carrier } from './carrier.ts';
import { freePort } from './free-port.ts';
import { untilReached } from './until-reached.ts';

/** Three `socat` in a row: what three plain hops cost. */
export async function startSocat(sinkPort: number): Promise<Carrier> {
  const command = findProgram('socat');
  if (command === undefined) throw new Error('install socat: it is a reference of this bench');
  await using ownership = new AsyncDisposableStack();
  const hop = async (toPort: number) => {
    const port = await freePort();
    const listen = `TCP-LISTEN:${port},bind=127.0.0.1,reuseaddr,fork,backlog=1024,nodelay`;
    // It would cut what comes half a second after one side has ended.
    const args = ['-b', '65536', '-t', '60', listen, `TCP:127.0.0.1:${toPort},nodelay`];
    const { pid } = ownership.use(await TestProcess.start({ command, args, env: process.env }));
    await untilReached(port);
    return { pid, port };
  };
  const agent = await hop(sinkPort);
  const relay = await hop(agent.port);
  const operator = await hop(relay.port);
  const owned = ownership.move();
  return {
    port: operator.port,
    pids: () => ({ operator: [operator.pid], relay: [relay.pid], agent: [agent.pid] }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
