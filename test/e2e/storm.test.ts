import { writeFile } from 'node:fs/promises';
import { BACKOFF, stayLinked, systemClock } from '@drawbridge/link';
import { ChaosProxy, eventually, scaled, TempDir, TestControlPlane } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { clientOf } from './task-story.ts';
import { type Goodbye, WireAgent, type WireLink } from './wire-agent.ts';

const AGENTS = scaled(200, 20);
const ALL_BACK_MS = 60_000;

/** Many agents that come back by themselves, as real ones do. */
class Crowd implements AsyncDisposable {
  /** The connections of each agent, the first one first, and when each was accepted. */
  readonly links: { readonly link: WireLink; readonly sinceMs: number }[][];
  readonly #stop = new AbortController();
  readonly #loops: Promise<unknown>[];

  constructor(agents: readonly WireAgent[], url: string) {
    this.links = agents.map(() => []);
    this.#loops = agents.map((agent, index) => this.#stay(agent, url, this.links[index] ?? []));
  }

  /** Resolves when every agent has been connected `times` times. */
  async connected(times: number): Promise<void> {
    await eventually(() => this.links.filter((links) => links.length < times).length, {
      what: `all agents to be connected, for the ${times}. time`,
      until: (missing) => missing === 0,
      timeoutMs: ALL_BACK_MS,
    });
  }

  /** How each agent's first connection ended. */
  goodbyes(): Promise<(Goodbye | undefined)[]> {
    return Promise.all(this.links.flatMap(([first]) => (first === undefined ? [] : [first.link.goodbye])));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the story is over'));
    await Promise.allSettled(this.#loops);
  }

  #stay(agent: WireAgent, url: string, links: { link: WireLink; sinceMs: number }[]): Promise<never> {
    const options = {
      dial: async (signal: AbortSignal) => {
        const link = await agent.dial(url, signal);
        links.push({ link, sinceMs: systemClock.monotonic() });
        return link;
      },
      backoff: BACKOFF.full_jitter,
      clock: systemClock,
      random: Math.random,
      onLost: () => undefined,
      onAuthRejected: () => undefined,
      onDuplicateIdentity: () => undefined,
    };
    return stayLinked(options, this.#stop.signal);
  }
}

/** A control plane that takes each enrolment for one of another machine. */
async function startPlane(dir: TempDir): Promise<TestControlPlane> {
  const file = dir.join('drawbridge.yaml');
  await writeFile(file, JSON.stringify({ listen: { trusted_proxies: ['127.0.0.1'] } }));
  return TestControlPlane.start({ args: ['--config', file] });
}

async function enrolAll(plane: TestControlPlane): Promise<WireAgent[]> {
  const { token } = await clientOf(plane).createJoinToken({ uses: AGENTS });
  return Promise.all(Array.from({ length: AGENTS }, (_, index) => WireAgent.enrol(plane, token, index)));
}

async function onlineAgents(plane: TestControlPlane): Promise<number> {
  const agents = await clientOf(plane).listAgents();
  return agents.filter(({ status }) => status === 'online').length;
}

it(`tells each of ${AGENTS} agents a time of its own to come back, and none comes sooner`, async () => {
  await using dir = await TempDir.make();
  await using plane = await startPlane(dir);
  await using crowd = new Crowd(await enrolAll(plane), plane.url);
  await crowd.connected(1);
  expect(await onlineAgents(plane)).toBe(AGENTS);

  const saidAtMs = systemClock.monotonic();
  expect(await plane.stop()).toEqual({ code: 0, signal: null });
  const goodbyes = await crowd.goodbyes();
  const waits = goodbyes.map((goodbye) => goodbye?.reconnectAfterMs ?? 0);
  for (const goodbye of goodbyes) expect(goodbye).toMatchObject({ reason: 'server shutdown', closeCode: 1000 });
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(1000);
  // A second for a hundred agents: drawn evenly, hardly two have the same.
  expect(new Set(waits).size).toBeGreaterThan(AGENTS * 0.7);
  expect(Math.max(...waits) - Math.min(...waits)).toBeGreaterThan(AGENTS * 5);

  await plane.restart();
  await crowd.connected(2);
  for (const [index, [, second]] of crowd.links.entries()) {
    expect((second?.sinceMs ?? 0) - saidAtMs).toBeGreaterThanOrEqual(waits[index] ?? Infinity);
    expect(second?.link.epoch).toBe(2);
  }
  expect(await onlineAgents(plane)).toBe(AGENTS);
});

it(`has all ${AGENTS} agents back after their connections were cut at once`, async () => {
  await using dir = await TempDir.make();
  await using plane = await startPlane(dir);
  await using proxy = await ChaosProxy.start({ to: plane.url });
  await using crowd = new Crowd(await enrolAll(plane), proxy.url);
  await crowd.connected(1);

  proxy.cut();
  await crowd.connected(2);
  const goodbyes = await crowd.goodbyes();
  expect(goodbyes.every((goodbye) => goodbye === undefined)).toBe(true);
  expect(crowd.links.map(([, second]) => second?.link.epoch)).toEqual(Array.from({ length: AGENTS }, () => 2));
  await eventually(() => onlineAgents(plane), { what: 'all to be online', until: (online) => online === AGENTS });
});
