import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { delimiter, dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setInterval as every } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  ChaosProxy,
  TempDir,
  TestAgent,
  TestControlPlane,
  TestProcess,
  drawbridge,
  requires,
  scaled,
} from '@drawbridge/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SshServer } from './ssh-server.ts';

const GB = 1_000_000_000;
const CUT_EVERY_MS = 3_000;
const LONG_MS = 600_000;
const BIN = fileURLToPath(new URL('../../bin', import.meta.url));

describe.runIf(requires('ssh', 'sshd', 'terminal'))('OpenSSH through the bridge', () => {
  const parts = new AsyncDisposableStack();
  let plane: TestControlPlane;
  let agentSide: ChaosProxy;
  let operatorSide: ChaosProxy;
  let agent: TestAgent;
  let server: SshServer;
  let home: TempDir;
  let env: NodeJS.ProcessEnv;

  beforeAll(async () => {
    plane = parts.use(await TestControlPlane.start());
    agentSide = parts.use(await ChaosProxy.start({ to: plane.url }));
    operatorSide = parts.use(await ChaosProxy.start({ to: plane.url }));
    // A link that is cut every 3 s would make it wait up to a minute.
    const config = { reconnection: { base_delay: 0.2, max_delay: 1 } };
    agent = parts.use(await TestAgent.start({ controlPlane: plane, url: agentSide.url, name: 'build-1', config }));
    server = parts.use(await SshServer.start());
    home = parts.use(await TempDir.make());
    const { env: clean = {} } = drawbridge([], {});
    const path = [BIN, dirname(process.execPath), clean['PATH']].join(delimiter);
    env = { ...clean, PATH: path, DRAWBRIDGE_URL: operatorSide.url, DRAWBRIDGE_TOKEN: plane.token };
  });
  afterAll(() => parts.disposeAsync());

  /** What ssh is told besides: our key, and a place of our own for the keys of hosts. */
  const settings = () => {
    const options = {
      UserKnownHostsFile: home.join('known_hosts'),
      StrictHostKeyChecking: 'accept-new',
      ServerAliveInterval: 5,
      ServerAliveCountMax: 20,
      BatchMode: 'yes',
    };
    const words = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
    return ['-F', '/dev/null', '-i', server.identity, ...words];
  };
  const ssh = (...words: string[]) =>
    TestProcess.start({
      ...drawbridge(['ssh', 'root@build-1', '-p', String(server.port), ...settings(), ...words], {}),
      env,
    });
  const proxyCommand = () => `drawbridge proxy-connect ${agent.name} 127.0.0.1 ${server.port}`;

  /** Cuts everything every 3 s while `work` goes on, and restarts the control plane once. */
  async function whileCut<T>(work: Promise<T>, restart = true): Promise<{ result: T; cuts: number }> {
    const over = new AbortController();
    let cuts = 0;
    const cutting = (async () => {
      for await (const _ of every(CUT_EVERY_MS, undefined, { signal: over.signal })) {
        cuts += 1;
        if (restart && cuts === 2) await plane.restart();
        else for (const side of [agentSide, operatorSide]) side.cut();
      }
    })().catch((error: unknown) => {
      if (!over.signal.aborted) throw error;
    });
    try {
      return { result: await work, cuts };
    } finally {
      over.abort();
      await cutting;
    }
  }

  it('runs a command, passes input and output, and ends with its exit code', async () => {
    await using program = await ssh('cat; echo to stderr >&2; exit 7');
    program.write('typed\n');
    program.endInput();
    expect(await program.exited()).toMatchObject({ code: 7 });
    expect(program.stdout.text).toBe('typed\n');
    expect(program.stderr.text).toContain('to stderr\n');
  });

  it('keeps the host key for the agent, and refuses another one', async () => {
    await using other = await SshServer.start();
    const words = ['ssh', 'root@build-1', ...settings(), '-i', other.identity, '-p', String(other.port), 'true'];
    await using program = await TestProcess.start({ ...drawbridge(words, {}), env });
    expect(await program.exited()).toMatchObject({ code: 255 });
    expect(program.stderr.text).toContain('REMOTE HOST IDENTIFICATION HAS CHANGED');
    await using keys = await TestProcess.start({ command: 'cat', args: [home.join('known_hosts')] });
    await keys.exited();
    expect(keys.stdout.text).toMatch(new RegExp(`^drawbridge-${agent.agentId} ssh-ed25519 `));
  });

  it('says in one line that ssh is not there, or the machine', async () => {
    await using none = await TestProcess.start({
      ...drawbridge(['ssh', 'build-1'], {}),
      env: { ...env, PATH: '/nowhere' },
    });
    expect(await none.exited()).toMatchObject({ code: 2 });
    expect(none.stderr.text).toBe('error: ssh cannot be started: it is not installed, or not in PATH\n');
    await using nobody = await TestProcess.start({ ...drawbridge(['ssh', 'nobody'], {}), env });
    expect(await nobody.exited()).toMatchObject({ code: 4 });
  });

  it(
    'copies a large file, unchanged, while everything is cut and the control plane restarts',
    async () => {
      const file = home.join('sent');
      const size = scaled(GB, 50_000_000);
      await pipeline(noise(size), createWriteStream(file));
      // A second copy goes the other way, for as long as the cuts need to be felt.
      const copy = async (from: string, to: string) => {
        await using program = await TestProcess.start({
          command: 'scp',
          args: [
            ...settings(),
            '-o',
            `ProxyCommand=${proxyCommand()}`,
            '-o',
            `HostKeyAlias=drawbridge-${agent.agentId}`,
            from,
            to,
          ],
          env,
        });
        const { code } = await program.exited(LONG_MS);
        return { code, said: program.stderr.text };
      };
      const both = async () => {
        const up = await copy(file, `root@build-1:${home.join('up')}`);
        const down = await copy(`root@build-1:${home.join('up')}`, home.join('down'));
        return [up, down];
      };
      const { result } = await whileCut(both());
      expect(result).toEqual([
        { code: 0, said: '' },
        { code: 0, said: '' },
      ]);
      const [sent, up, down] = await Promise.all(['sent', 'up', 'down'].map((name) => digest(home.join(name))));
      expect([up, down]).toEqual([sent, sent]);
    },
    LONG_MS,
  );

  it(
    'is a shell on a terminal that goes on after each cut and a restart',
    async () => {
      const words = ['ssh', 'root@build-1', '-p', String(server.port), ...settings(), '-tt', "'exec sh -i'"];
      const { command, args } = drawbridge(words, {});
      await using shell = await TestProcess.start({
        command: 'script',
        args: ['-qec', [command, ...args].join(' '), '/dev/null'],
        env: { ...env, PS1: '$ ' },
      });
      shell.write('test -t 0 && echo a-"terminal"\n');
      const says = (what: string) =>
        shell.waitFor(() => shell.stdout.text.includes(what) || undefined, { what, timeoutMs: 40_000 });
      await says('a-terminal');
      const talk = async () => {
        let said = 0;
        // Long enough for four cuts, the restart among them.
        for (const startMs = performance.now(); performance.now() - startMs < 4.5 * CUT_EVERY_MS; said += 1) {
          const answer = `answer-${said}-${said}`;
          shell.write(`n=${said}; echo answer-$n-$n\n`);
          await says(answer);
        }
        return said;
      };
      const { result, cuts } = await whileCut(talk());
      expect(cuts).toBeGreaterThanOrEqual(3);
      expect(result).toBeGreaterThan(3);
      shell.write('exit 5\n');
      expect(await shell.exited()).toMatchObject({ code: 5 });
    },
    LONG_MS,
  );

  it('leaves no lease behind', async () => {
    const { body } = await plane.api('GET', '/api/v1/tunnels');
    expect(body).toEqual({ items: [], next_cursor: null });
  });
});

function* noise(byteCount: number): Generator<Buffer> {
  for (let left = byteCount; left > 0; left -= 1_000_000) yield randomBytes(Math.min(left, 1_000_000));
}

async function digest(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
