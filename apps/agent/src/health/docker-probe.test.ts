import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { expect, it } from 'vitest';
import { eventually, FakeClock, TempDir } from '@drawbridge/testkit';
import { AGENT_LIMITS } from '../limits.ts';
import { probeDocker } from './docker-probe.ts';

/** Something behind a Unix socket that may or may not behave like an engine. */
async function engine(answer: RequestListener) {
  const dir = await TempDir.make();
  const path = dir.join('docker.sock');
  const server = createServer(answer).listen(path);
  await once(server, 'listening');
  return {
    path,
    connections: async () => {
      const { promise, resolve } = Promise.withResolvers<number>();
      server.getConnections((_error, count) => resolve(count));
      return promise;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
      await dir[Symbol.asyncDispose]();
    },
  };
}

it('tells version and latency of an engine that answers', async () => {
  await using docker = await engine((request, response) => {
    response.end(request.url === '/_ping' ? 'OK' : JSON.stringify({ Version: '27.1.1', ApiVersion: '1.46' }));
  });
  const health = await probeDocker(docker.path, new FakeClock());
  expect(health).toEqual({ reachable: true, version: '27.1.1', latency_ms: expect.any(Number) });
});

it.each([
  ['refuses', (_request, response) => response.writeHead(500).end()],
  ['hangs up', (request) => request.socket.destroy()],
  ['never stops', (_request, response) => void response.end('x'.repeat(100_000))],
] satisfies [string, RequestListener][])('calls an engine that %s unreachable', async (_name, answer) => {
  await using docker = await engine(answer);
  expect(await probeDocker(docker.path, new FakeClock())).toEqual({ reachable: false });
});

it('leaves out a version that is none', async () => {
  await using docker = await engine((_request, response) => void response.end('OK'));
  expect(await probeDocker(docker.path, new FakeClock())).toEqual({ reachable: true, latency_ms: expect.any(Number) });
});

it('gives up on an engine that does not answer, and hangs up', async () => {
  const asked = Promise.withResolvers<void>();
  await using docker = await engine(() => asked.resolve());
  const clock = new FakeClock();
  const probe = probeDocker(docker.path, clock);
  await asked.promise;
  await clock.advance(AGENT_LIMITS.dockerProbeTimeoutMs);
  expect(await probe).toEqual({ reachable: false });
  await eventually(async () => (await docker.connections()) === 0, { what: 'the probe to hang up' });
});

it('calls a socket that is not there unreachable', async () => {
  expect(await probeDocker('/no/such/docker.sock', new FakeClock())).toEqual({ reachable: false });
});
