import { memoryOf, runTask, TestAgent, TestControlPlane } from '@drawbridge/testkit';
import { expect } from 'vitest';
import { makeRawAgent } from './garbage-agent.ts';
import type { RawAgent } from './garbage-agent.ts';

const MIB = 1024 * 1024;
/** What garbage may leave behind in a process, heap that is not yet collected included. */
const GROWTH_BYTES_MAX = 60 * MIB;

/** A control plane that hears garbage, an agent that works meanwhile, and one that the test speaks for. */
export class GarbageWorld implements AsyncDisposable {
  readonly controlPlane: TestControlPlane;
  readonly agent: TestAgent;
  readonly raw: RawAgent;
  readonly #rssBytes: number;
  readonly #cleanup: AsyncDisposableStack;

  private constructor(
    { controlPlane, agent, raw }: Pick<GarbageWorld, 'controlPlane' | 'agent' | 'raw'>,
    cleanup: AsyncDisposableStack,
  ) {
    this.controlPlane = controlPlane;
    this.agent = agent;
    this.raw = raw;
    this.#rssBytes = memoryOf(controlPlane.pid).rssBytes;
    this.#cleanup = cleanup;
  }

  static async start(): Promise<GarbageWorld> {
    await using cleanup = new AsyncDisposableStack();
    const controlPlane = cleanup.use(await TestControlPlane.start());
    const agent = cleanup.use(await TestAgent.start({ controlPlane }));
    const raw = await makeRawAgent(controlPlane, 'raw');
    await runTask(controlPlane, { agent: agent.name, instructions: 'true' });
    return new GarbageWorld({ controlPlane, agent, raw }, cleanup.move());
  }

  /** The same processes still serve: nothing crashed, and nothing was kept. */
  async expectUnharmed(): Promise<void> {
    const task = await runTask(this.controlPlane, { agent: this.agent.name, instructions: 'exit 0' });
    expect(task).toMatchObject({ state: 'succeeded' });
    expect(memoryOf(this.controlPlane.pid).rssBytes - this.#rssBytes).toBeLessThan(GROWTH_BYTES_MAX);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#cleanup.disposeAsync();
  }
}
