import { once } from 'node:events';
import { connect } from 'node:net';
import { setInterval as every } from 'node:timers/promises';
import { TunnelView } from '@drawbridge/client';
import { ChaosProxy, TestAgent, TestControlPlane, TempDir, eventually, runCli, scaled } from '@drawbridge/testkit';
import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ForwardProgram, ask, echoes, listen, portOf } from './forward-story.ts';

const CONNECTIONS = 24;
const CUT_EVERY_MS = 1_500;

const parts = new AsyncDisposableStack();
let plane: TestControlPlane;
let agent: TestAgent;
let echo: Awaited<ReturnType<typeof listen>>;

beforeAll(async () => {
  plane = parts.use(await TestControlPlane.start());
  agent = parts.use(await TestAgent.start({ controlPlane: plane, name: 'build-1' }));
  echo = parts.use(await listen((socket) => socket.pipe(socket)));
});
afterAll(() => parts.disposeAsync());

async function leases(): Promise<TunnelView[]> {
  const { body } = await plane.api('GET', '/api/v1/tunnels');
  const { items } = z.object({ items: z.array(TunnelView) }).parse(body);
  return items.filter(({ kind }) => kind === 'operator');
}

describe('what goes through', () => {
  it('is the same at the other end, for many connections at once', async () => {
    await using forward = await ForwardProgram.start(plane, ['build-1', `0:${portOf(echo)}`]);
    const [port = 0] = forward.ports;
    const bytes = scaled(1_000_000, 10_000);
    const same = await Promise.all(Array.from({ length: CONNECTIONS }, () => echoes(port, bytes)));
    expect(same).toEqual(same.map(() => true));
    // What the program says, and what goes through it, come by different ways.
    await eventually(() => forward.lines.filter(({ type }) => type === 'opened').length === CONNECTIONS, {
      what: 'a word of each connection',
    });
  });

  it('reaches each of several targets by its own port, unix sockets too', async () => {
    await using dir = await TempDir.make();
    const socketPath = dir.join('s.sock');
    const onSocket = createServer((socket) => socket.end('socket'));
    onSocket.listen(socketPath);
    await once(onSocket, 'listening');
    await using other = await TestAgent.start({
      controlPlane: plane,
      config: { tunnels: { allow: ['127.0.0.1:*', `unix:${socketPath}`] } },
    });
    await using said = await listen((socket) => socket.end('port'));
    await using forward = await ForwardProgram.start(plane, [
      other.name,
      `0:127.0.0.1:${portOf(said)}`,
      `0:unix:${socketPath}`,
    ]);
    const [first = 0, second = 0] = forward.ports;
    expect(await Promise.all([ask(first, ''), ask(second, '')])).toEqual(['port', 'socket']);
    onSocket.close();
  });

  it('ends in each direction for itself', async () => {
    await using counting = await listen((socket) => {
      let count = 0;
      socket.on('data', (chunk) => (count += chunk.length));
      // The answer comes after the end of the question.
      socket.on('end', () => socket.end(`${count} bytes`));
    });
    await using forward = await ForwardProgram.start(plane, ['build-1', `0:${portOf(counting)}`]);
    expect(await ask(forward.ports[0] ?? 0, 'x'.repeat(300_000), true)).toBe('300000 bytes');
  });

  it('is reset where the target refuses, and said why', async () => {
    const gone = await listen(() => undefined);
    const port = portOf(gone);
    await gone[Symbol.asyncDispose]();
    await using forward = await ForwardProgram.start(plane, ['build-1', `0:${port}`]);
    await expect(ask(forward.ports[0] ?? 0, 'hello')).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(await forward.waitFor(({ type }) => type === 'refused')).toMatchObject({
      target: `127.0.0.1:${port}`,
      code: 'target_unreachable',
    });
    expect(await leases()).toHaveLength(1);
  });
});

describe('what is survived', () => {
  it('is the loss of both legs, again and again, under load', async () => {
    await using agentSide = await ChaosProxy.start({ to: plane.url });
    await using operatorSide = await ChaosProxy.start({ to: plane.url });
    // An agent waits the longer the more often its link was cut.
    const config = { reconnection: { base_delay: 0.2, max_delay: 1 } };
    await using far = await TestAgent.start({ controlPlane: plane, url: agentSide.url, config });
    await using forward = await ForwardProgram.start(plane, [far.name, `0:${portOf(echo)}`], operatorSide.url);
    const over = new AbortController();
    const cutting = (async () => {
      let cuts = 0;
      for await (const _ of every(CUT_EVERY_MS, undefined, { signal: over.signal })) {
        (cuts % 2 === 0 ? operatorSide : agentSide).cut();
        cuts += 1;
      }
    })().catch(() => undefined);
    const [port = 0] = forward.ports;
    const bytes = scaled(20_000_000, 500_000);
    const same: boolean[] = [];
    // As long as it takes for each side to have been cut.
    while (operatorSide.connections < 8 || agentSide.connections < 8)
      same.push(...(await Promise.all(Array.from({ length: 6 }, () => echoes(port, bytes)))));
    over.abort();
    await cutting;
    expect(same).toEqual(same.map(() => true));
    expect(forward.lines.some(({ type }) => type === 'reconnecting')).toBe(true);
    expect(forward.lines.filter(({ type }) => type === 'tunnel')).toHaveLength(1);
    expect(forward.lines.filter(({ type, code }) => type === 'closed' && code !== 0)).toEqual([]);
  });

  it('is a control plane that restarts, without a byte lost', async () => {
    await using forward = await ForwardProgram.start(plane, ['build-1', `0:${portOf(echo)}`]);
    const socket = connect({ port: forward.ports[0] ?? 0, host: '127.0.0.1' });
    let heard = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => (heard += chunk));
    socket.write('before ');
    await eventually(() => heard === 'before ', { what: 'the echo' });
    await plane.restart();
    socket.write('after');
    await eventually(() => heard === 'before after', { what: 'the echo after it', timeoutMs: 40_000 });
    socket.destroy();
    expect(await forward.waitFor(({ type }) => type === 'connected')).toBeDefined();
  });

  it('is an agent that restarts: another lease, and the same port', async () => {
    await using forward = await ForwardProgram.start(plane, ['build-1', `0:${portOf(echo)}`]);
    const [port = 0] = forward.ports;
    const held = connect({ port, host: '127.0.0.1' });
    held.on('error', () => undefined);
    held.write('x');
    await once(held, 'data');
    const broken = new Promise((resolve) => void held.once('close', resolve));
    await agent.restart();
    await broken;
    expect(await forward.waitFor(({ type }) => type === 'ended')).toMatchObject({ code: 6 });
    expect(await forward.waitFor(({ type }) => type === 'closed')).toMatchObject({ code: 8, bytes_up: 1 });
    await eventually(() => forward.lines.filter(({ type }) => type === 'tunnel').length === 2, {
      what: 'another lease',
      timeoutMs: 40_000,
    });
    expect(await echoes(port, 1_000)).toBe(true);
    expect(await leases()).toHaveLength(1);
  });
});

describe('how it ends', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('%s closes the lease and the ports, with 0', async (signal) => {
    await using forward = await ForwardProgram.start(plane, ['build-1', `0:${portOf(echo)}`]);
    const [port = 0] = forward.ports;
    expect(await echoes(port, 1_000)).toBe(true);
    expect(await leases()).toHaveLength(1);
    forward.process.signal(signal);
    expect(await forward.process.exited()).toEqual({ code: 0, signal: null });
    expect(forward.lines.at(-1)).toEqual({ type: 'summary', connections: 1, bytes_up: 1_000, bytes_down: 1_000 });
    expect(await leases()).toEqual([]);
    await expect(ask(port, '')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('a lease that somebody else closes is not asked for again', async () => {
    await using forward = await ForwardProgram.start(plane, ['build-1', `0:${portOf(echo)}`]);
    const [lease] = await leases();
    const env = { DRAWBRIDGE_URL: plane.url, DRAWBRIDGE_TOKEN: plane.token };
    const closed = await runCli(['tunnels', 'close', lease?.tunnel_id ?? ''], { env });
    expect(closed).toMatchObject({ code: 0, stdout: `tunnel ${lease?.tunnel_id} is closed\n` });
    expect((await forward.process.exited()).code).toBe(1);
    expect(forward.process.stderr.text).toContain('"code":"cancelled"');
    expect(await leases()).toEqual([]);
  });

  it('what was refused at the start ends it with the exit code of that', async () => {
    await plane.api('POST', '/api/v1/agents', { name: 'away' });
    const env = { DRAWBRIDGE_URL: plane.url, DRAWBRIDGE_TOKEN: plane.token };
    expect(await runCli(['forward', 'away', '0:1'], { env })).toMatchObject({ code: 6, stdout: '' });
    expect(await runCli(['forward', 'nobody', '0:1'], { env })).toMatchObject({ code: 4, stdout: '' });
    const taken = await runCli(['forward', 'build-1', `${portOf(echo)}:1`], { env });
    expect(taken).toMatchObject({ code: 2, stdout: '' });
    expect(taken.stderr).toContain('somebody else listens there');
    expect(await leases()).toEqual([]);
  });
});
