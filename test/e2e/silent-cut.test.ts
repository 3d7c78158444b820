import {
  ChaosProxy,
  eventually,
  makePki,
  requires,
  runCli,
  scaled,
  TempDir,
  TestAgent,
  TestControlPlane,
  withSeed,
} from '@drawbridge/testkit';
import { describe, expect, it } from 'vitest';
import {
  BRISK,
  cliEnv,
  clientOf,
  type Follower,
  follow,
  Ledger,
  type NumberedTask,
  outputOf,
  perfectReading,
  type Reading,
  readingOf,
  sha256Of,
  startTask,
} from './task-story.ts';

/** 45 s without a byte, the sweep that looks every second, and a busy machine. */
const SILENCE_MS = 47_000;
const BACK_MS = 30_000;
const CUTS = scaled(20, 4);

/** An agent behind a bad network, a task that writes numbers and somebody who reads them. */
interface Stage extends AsyncDisposable {
  readonly plane: TestControlPlane;
  readonly proxy: ChaosProxy;
  readonly agent: TestAgent;
  readonly ledger: Ledger;
  readonly output: Follower;
  /** What the reader got, once the task has ended. */
  reading(): Promise<Reading>;
}

async function openStage(task: NumberedTask): Promise<Stage> {
  await using opening = new AsyncDisposableStack();
  const ledger = opening.use(await Ledger.make());
  const plane = opening.use(await TestControlPlane.start());
  const proxy = opening.use(await ChaosProxy.start({ to: plane.url }));
  const agent = opening.use(await TestAgent.start({ controlPlane: plane, url: proxy.url, config: BRISK }));
  const client = clientOf(plane);
  const { id } = await startTask(client, agent, ledger.scriptOf(task));
  const output = follow(client, id);
  const stage = opening.move();
  return {
    plane,
    proxy,
    agent,
    ledger,
    output,
    reading: () => readingOf(client, id, output.whole),
    [Symbol.asyncDispose]: () => stage.disposeAsync(),
  };
}

function numbered(parts: number, linesPerPart: number): NumberedTask {
  return { name: 'task', parts, linesPerPart };
}

async function receivedMoreThan(output: Follower, byteCount: number): Promise<void> {
  await eventually(() => output.byteCount() > byteCount, { what: 'output', timeoutMs: BACK_MS });
}

describe.concurrent('a network that drops every packet', () => {
  it('is noticed by both ends within 45 s; the agent returns by itself and the output has no gap', async () => {
    const task = numbered(3, 20_000);
    await using stage = await openStage(task);
    const { plane, proxy, agent, ledger, output } = stage;
    ledger.go('part-1');
    await receivedMoreThan(output, 0);
    proxy.blackhole();
    ledger.go('part-2');
    await Promise.all([
      agent.waitForLog(({ msg }) => String(msg).startsWith('Channel closed (the control plane is silent)'), SILENCE_MS),
      plane.waitForLog(({ msg }) => msg === 'agent is silent: link dropped', SILENCE_MS),
    ]);
    await eventually(async () => (await clientOf(plane).getAgent(agent.name)).status === 'offline', {
      what: 'the agent to be offline',
    });
    proxy.heal();
    await isBack(plane, 2);
    ledger.go('part-3');
    expect(await stage.reading()).toEqual(perfectReading(task));
  });

  it('and goes on doing so for the connections of before is left behind by new ones', async () => {
    const task = numbered(2, 20_000);
    await using stage = await openStage(task);
    const { plane, proxy, ledger, output } = stage;
    ledger.go('part-1');
    await receivedMoreThan(output, 0);
    proxy.halfOpen();
    ledger.go('part-2');
    await isBack(plane, 2, SILENCE_MS + BACK_MS);
    expect(await stage.reading()).toEqual(perfectReading(task));
  });
});

describe('a connection that breaks in the middle of output', () => {
  it.each(['cut', 'reset'] as const)('is made again after a %s, and no byte is lost or repeated', async (how) => {
    const task = numbered(2, 100_000);
    await using stage = await openStage(task);
    const { plane, proxy, ledger, output } = stage;
    ledger.go('part-1');
    await receivedMoreThan(output, 0);
    proxy[how]();
    await isBack(plane, 2);
    ledger.go('part-2');
    expect(await stage.reading()).toEqual(perfectReading(task));
  });

  it('goes on after any byte, either way', () =>
    withSeed(async (random) => {
      const task = numbered(CUTS, 20_000);
      await using stage = await openStage(task);
      const { proxy, ledger, output } = stage;
      for (let part = 1; part <= CUTS; part += 1) {
        const { connections } = proxy;
        const before = output.byteCount();
        proxy.cutAfterBytes(random.integer(1, 60_000), 'up');
        proxy.cutAfterBytes(random.integer(1, 2_000), 'down');
        ledger.go(`part-${part}`);
        // More output alone may be what was on its way: each part has a cut of its own.
        await eventually(() => proxy.connections > connections, { what: 'a new connection', timeoutMs: BACK_MS });
        await receivedMoreThan(output, before);
      }
      proxy.heal();
      expect(proxy.connections).toBeGreaterThan(CUTS);
      expect(await stage.reading()).toEqual(perfectReading(task));
    }));
});

describe.runIf(requires('openssl'))('a wire that flips a bit', () => {
  it('is left for a new one: no wrong byte gets through TLS', () =>
    withSeed(async (random) => {
      await using dir = await TempDir.make();
      await using ledger = await Ledger.make();
      await using plane = await TestControlPlane.start({ tls: await makePki(dir.path) });
      await using proxy = await ChaosProxy.start({ to: plane.url });
      await using agent = await TestAgent.start({ controlPlane: plane, url: proxy.url, config: BRISK });
      const task = numbered(3, 50_000);
      const script = ledger.scriptOf(task);
      const running = runCli(['run', agent.name, '--provider', 'shell', script], { env: cliEnv(plane) });
      for (let part = 1; part <= task.parts; part += 1) {
        const connections = proxy.connections;
        proxy.corrupt({ afterBytes: random.integer(0, 20_000) }, 'up');
        ledger.go(`part-${part}`);
        await eventually(() => proxy.connections > connections, { what: 'a new connection', timeoutMs: BACK_MS });
      }
      const { code, stdoutBytes, stderr } = await running;
      expect({ code, stderr }).toMatchObject({ code: 0 });
      expect(sha256Of(stdoutBytes)).toBe(sha256Of(outputOf(task)));
    }));
});

describe('a slow, long wire', () => {
  it('carries every byte, and commands beside them', async () => {
    const task = numbered(1, 60_000);
    await using stage = await openStage(task);
    const { plane, proxy, agent, ledger, output } = stage;
    proxy.delay(100);
    proxy.throttle(150_000);
    ledger.go('part-1');
    await receivedMoreThan(output, 0);
    const ping = await clientOf(plane).runCommand(agent.name, 'agent.ping');
    expect(ping.state).toBe('succeeded');
    expect(output.byteCount()).toBeLessThan(outputOf(task).length);
    expect(await stage.reading()).toEqual(perfectReading(task));
  });
});

/** The agent's connection number `epoch`, or a later one, is up. */
async function isBack(plane: TestControlPlane, epoch: number, timeoutMs = BACK_MS): Promise<void> {
  await plane.waitForLog((line) => line['msg'] === 'agent connected' && Number(line['epoch']) >= epoch, timeoutMs);
}
