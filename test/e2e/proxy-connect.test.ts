import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { TestAgent, TestControlPlane, drawbridge, eventually, runCli, streamCli } from '@drawbridge/testkit';
import { TunnelView } from '@drawbridge/client';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { listen, portOf } from './forward-story.ts';

const parts = new AsyncDisposableStack();
let plane: TestControlPlane;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  plane = parts.use(await TestControlPlane.start());
  parts.use(await TestAgent.start({ controlPlane: plane, name: 'build-1' }));
  env = { DRAWBRIDGE_URL: plane.url, DRAWBRIDGE_TOKEN: plane.token };
});
afterAll(() => parts.disposeAsync());

const words = (port: number, ...more: string[]) => ['proxy-connect', 'build-1', '127.0.0.1', String(port), ...more];

async function leases(): Promise<TunnelView[]> {
  const { body } = await plane.api('GET', '/api/v1/tunnels');
  const { items } = z.object({ items: z.array(TunnelView) }).parse(body);
  return items.filter(({ kind }) => kind === 'operator');
}

it('carries bytes and nothing else, and the end of its input is the half-close', async () => {
  await using server = await listen((socket) => {
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('end', () => socket.end(Buffer.concat(chunks).reverse()));
  });
  const input = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 251));
  const { code, stdoutBytes, stderr } = await runCli(words(portOf(server)), { env, input });
  expect({ code, stderr, isSame: stdoutBytes.equals(Buffer.from(input).reverse()) }).toEqual({
    code: 0,
    stderr: '',
    isSame: true,
  });
  expect(await leases()).toEqual([]);
});

it('ends its output when the other side does, and goes on with its input', async () => {
  let heard = '';
  await using server = await listen((socket) => {
    socket.end('all I say');
    socket.on('data', (chunk) => (heard += chunk.toString()));
  });
  const { command, args, env: clean } = drawbridge(words(portOf(server)), { env });
  const cli = spawn(command, args, { env: clean, stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(cli, 'exit');
  // Ends when the program has let go of its output, while it still runs.
  expect(await text(cli.stdout)).toBe('all I say');
  expect(cli.exitCode).toBeNull();
  cli.stdin.end('late');
  expect((await exited)[0]).toBe(0);
  await eventually(() => heard === 'late', { what: 'what was said late' });
});

it('says in one line why there is no connection', async () => {
  const gone = await listen(() => undefined);
  const port = portOf(gone);
  await gone[Symbol.asyncDispose]();
  const refused = await runCli(words(port), { env });
  expect(refused).toMatchObject({ code: 1, stdout: '' });
  expect(refused.stderr).toBe(`error: 127.0.0.1:${port}: nothing listens there\n`);
  const nobody = await runCli(['proxy-connect', 'nobody', 'h', '1'], { env });
  expect(nobody).toMatchObject({ code: 4, stdout: '' });
  expect(await runCli(words(0), { env })).toMatchObject({ code: 2, stdout: '' });
  expect(await leases()).toEqual([]);
});

it('gives up a control plane that is away after a moment, with 6', async () => {
  const nowhere = { DRAWBRIDGE_URL: 'http://127.0.0.1:1', DRAWBRIDGE_TOKEN: 'dbt_x' };
  expect(await runCli(words(1), { env: nowhere })).toMatchObject({
    code: 6,
    stdout: '',
    stderr: 'error: cannot reach the control plane at http://127.0.0.1:1: nothing listens there\n',
  });
});

it('says when its connection was broken', async () => {
  await using server = await listen((socket) => void socket.once('data', () => socket.resetAndDestroy()));
  await using cli = await streamCli(words(portOf(server)), { env });
  cli.write('x');
  expect((await cli.exited()).code).toBe(6);
  expect(cli.stderr.text).toMatch(/^error: the connection broke: .*\n$/);
});

it('ends quietly when who started it ends it, and leaves no lease', async () => {
  await using server = await listen((socket) => socket.pipe(socket));
  await using cli = await streamCli(words(portOf(server), '--protocol', 'ssh'), { env });
  cli.write('hello\n');
  await cli.waitFor(() => cli.stdout.text.includes('hello') || undefined, { what: 'the echo', timeoutMs: 20_000 });
  expect(await leases()).toMatchObject([{ protocol: 'ssh', domain: 'ssh', target: { host: '127.0.0.1' } }]);
  cli.signal('SIGHUP');
  expect((await cli.exited()).code).toBe(130);
  expect(cli.stderr.text).toBe('');
  await eventually(async () => (await leases()).length === 0, { what: 'the end of the lease' });
});
