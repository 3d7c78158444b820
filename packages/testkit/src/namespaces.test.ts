import { createServer } from 'node:net';
import { once } from 'node:events';
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { Namespaces } from './namespaces.ts';
import { isAlive } from './process-table.ts';
import { requires } from './requirement.ts';
import { TestProcess } from './test-process.ts';

const LISTEN = `require('net').createServer((s) => s.end('hello')).listen(7000, '0.0.0.0', () => console.log('ready'))`;
const DIAL = `
  const socket = require('net').connect(7000, process.argv[1]);
  socket.setTimeout(Number(process.argv[2]), () => { console.log('silence'); socket.destroy(); });
  socket.on('data', (bytes) => console.log(String(bytes)));
  socket.on('error', (error) => console.log(error.code));`;
const PATIENCE_MS = '10000';
/** On a cable without distance an answer takes microseconds. */
const SILENCE_MS = '300';

describe.runIf(requires('netns'))('network namespaces', () => {
  it('reach their neighbours, and nobody else', async () => {
    await using namespaces = await Namespaces.make({ names: ['left', 'middle', 'right'] });
    await using _server = await listenIn(namespaces, 'middle');
    for (const from of ['left', 'right']) {
      expect(await dial(namespaces, from, namespaces.address('middle', { from }), PATIENCE_MS)).toBe('hello');
    }
    const far = namespaces.address('right', { from: 'middle' });
    expect(await dial(namespaces, 'left', far, PATIENCE_MS)).toBe('ENETUNREACH');
    expect(() => namespaces.address('right', { from: 'left' })).toThrow('are not joined');
  });

  it('do not see what listens outside', async () => {
    await using namespaces = await Namespaces.make({ names: ['alone'] });
    const server = createServer().listen(7000, '127.0.0.1');
    await once(server, 'listening');
    expect(await dial(namespaces, 'alone', '127.0.0.1', PATIENCE_MS)).toBe('ECONNREFUSED');
    server.close();
  });

  it('give back what a command said and its exit code', async () => {
    await using namespaces = await Namespaces.make({ names: ['one'] });
    const result = await namespaces.run('one', ['sh', '-c', 'echo out; echo err >&2; exit 7']);
    expect(result).toEqual({ code: 7, stdout: 'out\n', stderr: 'err\n' });
    await expect(namespaces.run('two', ['true'])).rejects.toThrow('no namespace two among one');
  });

  it('are gone at the end, with everything that ran inside', async () => {
    const namespaces = await Namespaces.make({ names: ['one', 'two'] });
    const server = await listenIn(namespaces, 'one');
    await namespaces[Symbol.asyncDispose]();
    await namespaces[Symbol.asyncDispose]();
    await server.exited();
    expect(isAlive(server.pid)).toBe(false);
    expect(spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' }).stdout).not.toContain(namespaces.systemName('one'));
  });

  it('leave nothing when they cannot be made', async () => {
    const before = spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' }).stdout;
    await expect(Namespaces.make({ names: ['fine', 'not/fine'] })).rejects.toThrow('not/fine');
    expect(spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' }).stdout).toBe(before);
  });

  it.runIf(requires('firewall'))('can be closed to new connections, and still dial out', async () => {
    await using namespaces = await Namespaces.make({ names: ['server', 'agent'], dropInboundTo: 'agent' });
    await using _server = await listenIn(namespaces, 'server');
    await using _agent = await listenIn(namespaces, 'agent');
    const server = namespaces.address('server', { from: 'agent' });
    expect(await dial(namespaces, 'agent', server, PATIENCE_MS)).toBe('hello');
    const agent = namespaces.address('agent', { from: 'server' });
    expect(await dial(namespaces, 'server', agent, SILENCE_MS)).toBe('silence');
    expect(await dial(namespaces, 'agent', '127.0.0.1', PATIENCE_MS)).toBe('hello');
  });
});

async function listenIn(namespaces: Namespaces, name: string): Promise<TestProcess> {
  const namespace = namespaces.systemName(name);
  const server = await TestProcess.start({ command: process.execPath, args: ['-e', LISTEN], namespace });
  await server.waitFor(() => server.stdout.lines[0], { what: 'the server to listen', timeoutMs: 30_000 });
  return server;
}

async function dial(namespaces: Namespaces, from: string, address: string, timeoutMs: string): Promise<string> {
  const { stdout } = await namespaces.run(from, [process.execPath, '-e', DIAL, address, timeoutMs]);
  return stdout.trim();
}
