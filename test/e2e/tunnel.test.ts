import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Server } from 'node:net';
import { ChaosProxy, eventually, listeningPort, TestAgent, TestControlPlane } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { tunnelUser } from './tunnel-story.ts';

async function echoServer(): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return server;
}

it('carries a TCP stream to a port of the machine and back, while each leg is cut and the control plane restarts', async () => {
  await using plane = await TestControlPlane.start();
  await using agentSide = await ChaosProxy.start({ to: plane.url });
  await using operatorSide = await ChaosProxy.start({ to: plane.url });
  await using agent = await TestAgent.start({ controlPlane: plane, url: agentSide.url });
  const server = await echoServer();
  const user = tunnelUser(plane, operatorSide.url);
  await using tunnel = await user.open({ agent_id: agent.agentId, protocol: 'tcp' });
  const channel = await tunnel.channel({ port: listeningPort(server) });
  let heard = '';
  const reading = (async () => {
    for await (const item of channel) if (item.kind === 'data') heard += Buffer.from(item.bytes).toString();
  })();
  let said = '';
  const say = async (text: string) => {
    said += text;
    await channel.send(Buffer.from(text));
  };
  await say('hello ');
  await eventually(() => heard === said, { what: 'the echo' });
  operatorSide.cut();
  await say('operator ');
  await eventually(() => heard === said, { what: 'the echo after the operator was cut', timeoutMs: 20_000 });
  agentSide.cut();
  await say('agent ');
  await eventually(() => heard === said, { what: 'the echo after the agent was cut', timeoutMs: 20_000 });
  await plane.restart();
  await say('restart ');
  await eventually(() => heard === said, { what: 'the echo after the restart', timeoutMs: 30_000 });
  channel.end();
  await reading;
  expect(heard).toBe(said);
  server.close();
});
