import { readdir, readFile, stat } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { makePki } from './certificates.ts';
import { listeningPort } from './listening-port.ts';
import { Namespaces } from './namespaces.ts';
import { isAlive, processesUsing } from './process-table.ts';
import { requires } from './requirement.ts';
import { TempDir } from './temp-dir.ts';
import { TestAgent } from './test-agent.ts';
import { TestControlPlane } from './test-control-plane.ts';

const binary = fileURLToPath(new URL('../fixtures/stand-in.js', import.meta.url));

afterEach(() => vi.unstubAllEnvs());

describe('a control plane', () => {
  it('is ready, with a token that only its owner reads', async () => {
    await using plane = await TestControlPlane.start({ binary });
    expect(plane.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(plane.token).toMatch(/^dbt_.{32,}$/);
    const tokenFile = join(plane.dataDir, 'bootstrap-token');
    expect(await readFile(tokenFile, 'utf8')).toBe(plane.token);
    expect((await stat(tokenFile)).mode & 0o777).toBe(0o600);
  });

  it('is called as the admin, unless the test says otherwise', async () => {
    await using plane = await TestControlPlane.start({ binary });
    const { status, body } = await plane.api('PUT', '/api/v1/thing?x=1', { a: 1 });
    expect(status).toBe(201);
    expect(body).toMatchObject({ method: 'PUT', path: '/api/v1/thing?x=1', type: 'application/json', body: '{"a":1}' });
    expect((await plane.api('GET', '/', undefined, { authorization: 'Bearer no' })).status).toBe(401);
  });

  it('restarts on the same port and data, after a stop and after a crash', async () => {
    await using plane = await TestControlPlane.start({ binary });
    const { url, pid, dataDir } = plane;
    await plane.restart();
    await plane.kill9();
    expect(isAlive(pid)).toBe(false);
    await plane.restart();
    expect([plane.url, plane.dataDir]).toEqual([url, dataDir]);
    expect(plane.pid).not.toBe(pid);
    expect((await plane.api('GET', '/')).status).toBe(201);
  });

  it('tells its log, and what is no JSON as text', async () => {
    await using plane = await TestControlPlane.start({ binary });
    const line = await plane.waitForLog(({ msg }) => msg === 'listening');
    expect(line).toEqual({ level: 30, msg: 'listening', port: Number(new URL(plane.url).port) });
    expect(plane.logs[0]).toEqual({ text: 'a warning that is no JSON' });
    expect(await plane.stop()).toEqual({ code: 0, signal: null });
    expect(plane.logs.at(-1)).toEqual({ level: 30, msg: 'stopping' });
  });

  it('says why it did not start, and leaves nothing', async () => {
    await using dir = await TempDir.make();
    vi.stubEnv('TMPDIR', dir.path);
    const starting = TestControlPlane.start({ binary, env: { STAND_IN: 'dies' } });
    await expect(starting).rejects.toThrow(/ended before the line that says it is up \(exit 3\)\n.*no disk left/s);
    expect(await readdir(dir.path)).toEqual([]);
  });

  it('is killed, and the test told, when it does not stop', async () => {
    await using plane = await TestControlPlane.start({ binary, env: { STAND_IN: 'deaf' } });
    await expect(plane.stop(100)).rejects.toThrow('still runs after 100 ms');
    expect(isAlive(plane.pid)).toBe(false);
  });

  it('takes a log line that never comes for a failure', async () => {
    await using plane = await TestControlPlane.start({ binary });
    await expect(plane.waitForLog(() => false, 20)).rejects.toThrow('waited 20 ms for a log line');
    const waiting = plane.waitForLog(() => false);
    await Promise.all([plane.stop(), expect(waiting).rejects.toThrow('ended before a log line')]);
  });

  it.runIf(requires('linux'))('leaves neither process nor file, even of what hid in a group of its own', async () => {
    let left: { dataDir: string; pids: number[] };
    {
      await using plane = await TestControlPlane.start({ binary, env: { STAND_IN: 'breeds' } });
      await plane.kill9();
      left = { dataDir: plane.dataDir, pids: processesUsing(plane.dataDir) };
      expect(left.pids).toHaveLength(1);
      await plane.restart();
    }
    expect(existsSync(left.dataDir)).toBe(false);
    expect(left.pids.filter(isAlive)).toEqual([]);
    expect(processesUsing(left.dataDir)).toEqual([]);
  });

  it('keeps a directory that the test brought', async () => {
    await using dir = await TempDir.make();
    await (await TestControlPlane.start({ binary, dataDir: dir.path }))[Symbol.asyncDispose]();
    expect(existsSync(dir.join('bootstrap-token'))).toBe(true);
  });

  it('frees its port', async () => {
    const plane = await TestControlPlane.start({ binary });
    const port = Number(new URL(plane.url).port);
    await plane[Symbol.asyncDispose]();
    const server = createServer().listen(port, '127.0.0.1');
    await once(server, 'listening');
    expect(listeningPort(server)).toBe(port);
    server.close();
  });

  it.runIf(requires('openssl'))('serves TLS that the test trusts', async () => {
    await using dir = await TempDir.make();
    await using plane = await TestControlPlane.start({ binary, tls: await makePki(dir.path) });
    expect(plane.url).toMatch(/^https:/);
    expect((await plane.api('GET', '/')).status).toBe(201);
    await using agent = await TestAgent.start({ binary, controlPlane: plane });
    expect(agent.logs[0]).toMatchObject({ identity: { ca: plane.caFile } });
  });

  it.runIf(requires('netns'))('answers the test from another network namespace', async () => {
    await using namespaces = await Namespaces.make({ names: ['server', 'agent'] });
    const host = namespaces.address('server', { from: 'agent' });
    await using plane = await TestControlPlane.start({ binary, host, namespace: namespaces.systemName('server') });
    expect(plane.url).toContain(host);
    const answer = await plane.api('POST', '/x', { a: 1 });
    expect(answer).toMatchObject({ status: 201, body: { body: '{"a":1}' } });
  });
});

describe('an agent', () => {
  it('enrols with its name and labels, and is connected', async () => {
    await using plane = await TestControlPlane.start({ binary });
    const config = { heartbeat: { interval: 1 } };
    const labels = { os: 'linux', rack: 'r1' };
    await using agent = await TestAgent.start({ binary, controlPlane: plane, name: 'one', labels, config });
    expect(agent.agentId).toBe('id-of-one');
    const { identity, config: seen } = await agent.waitForLog(({ msg }) => msg === 'started');
    expect(identity).toEqual({ name: 'one', url: plane.url, label: ['os=linux', 'rack=r1'] });
    expect(seen).toEqual(config);
  });

  it('keeps its identity over a crash', async () => {
    await using plane = await TestControlPlane.start({ binary });
    await using agent = await TestAgent.start({ binary, controlPlane: plane });
    const { agentId } = agent;
    await agent.kill9();
    await agent.restart();
    expect(agent.agentId).toBe(agentId);
  });

  it('dials another address when it is told to', async () => {
    await using plane = await TestControlPlane.start({ binary });
    await using agent = await TestAgent.start({ binary, controlPlane: plane, url: 'http://127.0.0.1:9' });
    expect(agent.logs[0]).toMatchObject({ identity: { url: 'http://127.0.0.1:9' } });
  });

  it('does not start when it cannot enrol', async () => {
    const controlPlane = {
      url: 'http://127.0.0.1:9',
      caFile: undefined,
      api: () => Promise.resolve({ status: 201, headers: {}, body: { token: 'stale' } }),
    };
    await expect(TestAgent.start({ binary, controlPlane, name: 'x' })).rejects.toThrow(
      'agent x did not enrol (exit 3)',
    );
  });
});
