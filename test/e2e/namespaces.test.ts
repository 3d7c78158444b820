import {
  listenersOf,
  makePki,
  memoryOf,
  Namespaces,
  type Pki,
  requires,
  scaled,
  startConnectProxyProcess,
  streamCli,
  TempDir,
  TestAgent,
  TestControlPlane,
} from '@drawbridge/testkit';
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeBundle } from '../../scripts/bundle/make-bundle.ts';

const MIB = 1024 * 1024;
/** Of each process of what is installed, a bundle. */
const RSS_BYTES_MAX = 150e6;
const OUTPUT_BYTES = scaled(100 * MIB, 20 * MIB);
const STREAM_TIMEOUT_MS = 300_000;

/** Prints OUTPUT_BYTES bytes as fast as a pipe takes them; no two blocks are alike. */
const POUR = `node -e '
  const block = Buffer.alloc(65536);
  let left = ${OUTPUT_BYTES};
  let n = 0;
  const pour = () => {
    while (left > 0) {
      block.fill(n & 255).writeUInt32LE(n++);
      const bytes = block.subarray(0, Math.min(left, block.length));
      left -= bytes.length;
      if (!process.stdout.write(Buffer.from(bytes))) return process.stdout.once("drain", pour);
    }
  };
  pour();
'`;

/** The digest of what POUR prints. */
function pouredDigest(): string {
  const digest = createHash('sha256');
  const block = Buffer.alloc(65_536);
  for (let index = 0, left = OUTPUT_BYTES; left > 0; index += 1, left -= block.length) {
    block.fill(index & 255).writeUInt32LE(index);
    digest.update(block.subarray(0, Math.min(left, block.length)));
  }
  return digest.digest('hex');
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
let installed: TempDir;
let binary: string;
beforeAll(async () => {
  installed = await TempDir.make('drawbridge-installed-');
  binary = installed.join('app/drawbridge.js');
  await makeBundle(ROOT, installed.join('app'));
});
afterAll(() => installed[Symbol.asyncDispose]());

/** A control plane with TLS in namespace `control`, on the address that `neighbour` reaches. */
async function controlPlaneIn(namespaces: Namespaces, neighbour: string, pki: Pki): Promise<TestControlPlane> {
  return TestControlPlane.start({
    binary,
    namespace: namespaces.systemName('control'),
    host: namespaces.address('control', { from: neighbour }),
    tls: pki,
  });
}

/** Follows a task that prints OUTPUT_BYTES with the command line, next to the control plane; what came, and how much memory it took. */
async function stream(controlPlane: TestControlPlane, agent: TestAgent, namespace: string) {
  const env = {
    DRAWBRIDGE_URL: controlPlane.url,
    DRAWBRIDGE_TOKEN: controlPlane.token,
    DRAWBRIDGE_CA: controlPlane.caFile,
  };
  const words = ['run', agent.name, '--provider', 'shell', POUR];
  await using cli = await streamCli(words, { env, namespace, binary });
  const digest = createHash('sha256');
  let bytes = 0;
  cli.onStdout((chunk) => {
    digest.update(chunk);
    bytes += chunk.byteLength;
  });
  const { code } = await cli.exited(STREAM_TIMEOUT_MS);
  return { code, bytes, sha256: digest.digest('hex'), stderr: cli.stderr.text };
}

/** No socket of the agent, and none in its whole namespace, takes a connection or a datagram. */
async function expectNoListener(namespaces: Namespaces, controlPlane: TestControlPlane, agent: TestAgent) {
  expect(listenersOf(agent.pid)).toEqual([]);
  const { stdout } = await namespaces.run('agent', ['ss', '-H', '-ltnup']);
  expect(stdout.trim()).toBe('');
  const { body: metrics } = await controlPlane.api('GET', '/metrics');
  expect(metrics).toMatch(/^drawbridge_agents_connected 1$/m);
  expect(metrics).toMatch(/^drawbridge_agent_listeners 0$/m);
  const info = await controlPlane.api('POST', `/api/v1/agents/${agent.name}/commands`, { operation: 'agent.info' });
  expect(info).toMatchObject({ status: 200, body: { state: 'succeeded', data: { listeners: 0 } } });
}

function expectLittleMemory(controlPlane: TestControlPlane, agent: TestAgent) {
  const peaks = [controlPlane, agent].map(({ pid }) => memoryOf(pid).peakRssBytes);
  expect(Math.max(...peaks), `peaks of control plane and agent: ${peaks.join(', ')} bytes`).toBeLessThan(RSS_BYTES_MAX);
}

describe.runIf(requires('netns', 'firewall', 'openssl'))('an agent behind a firewall', () => {
  it(
    'runs a task and streams its output over TLS while it listens on nothing',
    async () => {
      await using dir = await TempDir.make();
      await using namespaces = await Namespaces.make({ names: ['control', 'agent'], dropInboundTo: 'agent' });
      const pki = await makePki(dir.path, { addresses: [namespaces.address('control', { from: 'agent' })] });
      await using controlPlane = await controlPlaneIn(namespaces, 'agent', pki);
      await using agent = await TestAgent.start({ controlPlane, binary, namespace: namespaces.systemName('agent') });
      await expectNoListener(namespaces, controlPlane, agent);

      const streamed = await stream(controlPlane, agent, namespaces.systemName('control'));
      expect(streamed).toMatchObject({ code: 0, bytes: OUTPUT_BYTES, sha256: pouredDigest() });

      expectLittleMemory(controlPlane, agent);
      await expectNoListener(namespaces, controlPlane, agent);
    },
    STREAM_TIMEOUT_MS,
  );

  it('lets nobody in: what comes from outside is dropped without an answer', async () => {
    await using namespaces = await Namespaces.make({ names: ['control', 'agent'], dropInboundTo: 'agent' });
    const address = namespaces.address('agent', { from: 'control' });
    const knock = `
      const { connect } = require('node:net');
      const socket = connect({ host: '${address}', port: 22, timeout: 1000 });
      socket.on('timeout', () => process.exit(7));
      socket.on('connect', () => process.exit(0));
      socket.on('error', () => process.exit(1));`;
    expect(await namespaces.run('control', [process.execPath, '-e', knock])).toMatchObject({ code: 7 });
  });
});

describe.runIf(requires('netns', 'firewall', 'openssl'))('an agent that reaches nothing but an HTTP proxy', () => {
  const credentials = { user: 'machine', password: 'sesame:/@open' } as const;

  /** Control plane, proxy and agent in a row: the agent has no route past the proxy. */
  async function row() {
    await using cleanup = new AsyncDisposableStack();
    const dir = cleanup.use(await TempDir.make());
    const names = ['control', 'proxy', 'agent'];
    const namespaces = cleanup.use(await Namespaces.make({ names, dropInboundTo: 'agent' }));
    const pki = await makePki(dir.path, { addresses: [namespaces.address('control', { from: 'proxy' })] });
    const controlPlane = cleanup.use(await controlPlaneIn(namespaces, 'proxy', pki));
    const host = namespaces.address('proxy', { from: 'agent' });
    const options = { host, credentials, namespace: namespaces.systemName('proxy') };
    const proxy = cleanup.use(await startConnectProxyProcess(options));
    const owned = cleanup.move();
    return { namespaces, controlPlane, proxy, [Symbol.asyncDispose]: () => owned.disposeAsync() };
  }

  it.each(['HTTPS_PROXY', 'server.proxy'])(
    'does all of it through the proxy that %s names',
    async (setting) => {
      await using world = await row();
      const { namespaces, controlPlane, proxy } = world;
      const isFile = setting === 'server.proxy';
      await using agent = await TestAgent.start({
        controlPlane,
        binary,
        namespace: namespaces.systemName('agent'),
        ...(isFile ? { config: { server: { proxy: proxy.url } }, enrolArgs: ['--proxy', proxy.url] } : {}),
        ...(isFile ? {} : { env: { HTTPS_PROXY: proxy.url } }),
      });

      const streamed = await stream(controlPlane, agent, namespaces.systemName('control'));
      expect(streamed).toMatchObject({ code: 0, bytes: OUTPUT_BYTES, sha256: pouredDigest() });

      expectLittleMemory(controlPlane, agent);
      await expectNoListener(namespaces, controlPlane, agent);
      // Once to enrol at the least, once for the link, once for the tunnel.
      expect(proxy.targets.length).toBeGreaterThanOrEqual(3);
      expect(new Set(proxy.targets)).toEqual(new Set([new URL(controlPlane.url).host]));
    },
    STREAM_TIMEOUT_MS,
  );

  it('says that the proxy refuses it, and never the password', async () => {
    await using world = await row();
    const { namespaces, controlPlane, proxy } = world;
    const namespace = namespaces.systemName('agent');
    await using first = await TestAgent.start({ controlPlane, namespace, env: { HTTPS_PROXY: proxy.url } });
    await first.stop();
    const wrong = new URL(proxy.url);
    wrong.password = 'opensezme';
    await using agent = await TestAgent.start({
      controlPlane,
      namespace,
      dataDir: first.dataDir,
      isEnrolled: true,
      config: { server: { proxy: wrong.href } },
      waitUntilConnected: false,
    });

    const line = await agent.waitForLog(({ msg }) => typeof msg === 'string' && msg.includes('proxy'));
    expect(line['msg']).toMatch(/407/);
    expect(JSON.stringify(agent.logs)).not.toContain('opensezme');
    expect(JSON.stringify(agent.logs)).not.toContain(Buffer.from('machine:opensezme').toString('base64'));
  });
});
