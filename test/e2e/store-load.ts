import type { DrawbridgeClient } from '@drawbridge/client';
import { systemClock } from '@drawbridge/link';
import { eventually, type TestAgent, type TestControlPlane } from '@drawbridge/testkit';
import { expect } from 'vitest';
import { clientOf, PATIENT, startTask } from './task-story.ts';

const WORKERS = 4;
/** After a refusal, a pause: the store may be away. */
const PAUSE_MS = 25;
/** Not the store's business: how long one waits for an agent that comes back, and for all that waits for it. */
const END_TIMEOUT_MS = 60_000;
const GOES_ON_TIMEOUT_MS = 60_000;
/** Lines of the control plane's log that a failure shows. */
const LAST_WORDS = 5;

/** The load is heavier than what one token, or one agent, is usually granted. */
export const NO_LIMITS = {
  DRAWBRIDGE_LIMITS_REQUESTS_PER_MINUTE: '1000000',
  DRAWBRIDGE_LIMITS_COMMANDS_PER_SECOND: '100000',
  DRAWBRIDGE_LIMITS_COMMANDS_BURST: '100000',
} as const;

/** People who ask for tasks and commands all the time, and write down what they were promised. */
export class StoreLoad implements AsyncDisposable {
  readonly #plane: TestControlPlane;
  readonly #agent: TestAgent;
  readonly #client: DrawbridgeClient;
  readonly #taskIds: string[] = [];
  readonly #commandIds: string[] = [];
  readonly #workers: Promise<void>[];
  #isOver = false;
  #lastRefusal: unknown;

  private constructor(plane: TestControlPlane, agent: TestAgent) {
    this.#plane = plane;
    this.#agent = agent;
    this.#client = clientOf(plane);
    this.#workers = Array.from({ length: WORKERS }, (_, worker) => this.#work(worker));
  }

  static start(plane: TestControlPlane, agent: TestAgent): StoreLoad {
    return new StoreLoad(plane, agent);
  }

  /** How much was promised so far. */
  get acknowledged(): number {
    return this.#taskIds.length + this.#commandIds.length;
  }

  /** Resolves when something more was promised. */
  async goesOn(what: string): Promise<void> {
    const before = this.acknowledged;
    const look = () => {
      if (this.acknowledged > before) return true;
      const lastWords = JSON.stringify(this.#plane.logs.slice(-LAST_WORDS));
      throw new Error(`nothing is promised; the control plane says ${lastWords}`, { cause: this.#lastRefusal });
    };
    await eventually(look, { what, timeoutMs: GOES_ON_TIMEOUT_MS });
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#workers);
  }

  /** Everything that was promised is there once, and comes to its end. */
  async expectNothingLost(): Promise<void> {
    const ids = [...this.#taskIds, ...this.#commandIds];
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of this.#taskIds) {
      expect(await this.#client.waitForTask(id, PATIENT)).toMatchObject({ id, state: 'succeeded' });
    }
    for (const id of this.#commandIds) expect(await this.#endOfCommand(id)).toMatchObject({ id, state: 'succeeded' });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #work(worker: number): Promise<void> {
    while (!this.#isOver) {
      try {
        if (worker % 2 === 0) this.#taskIds.push(await this.#task());
        else this.#commandIds.push(await this.#command());
      } catch (error) {
        // Nobody was promised anything.
        this.#lastRefusal = error;
        await systemClock.sleep(PAUSE_MS);
      }
    }
  }

  async #task(): Promise<string> {
    return (await startTask(this.#client, this.#agent, 'true', { queueIfOffline: true })).id;
  }

  async #command(): Promise<string> {
    const body = { operation: 'agent.ping', params: {}, queue_if_offline: true, timeout_seconds: 300 };
    const { status, body: answer } = await this.#plane.api(
      'POST',
      `/api/v1/agents/${this.#agent.agentId}/commands`,
      body,
    );
    if ((status !== 200 && status !== 202) || !hasId(answer)) throw new Error(`${status} ${JSON.stringify(answer)}`);
    return answer.id;
  }

  #endOfCommand(id: string): Promise<unknown> {
    const look = async () => (await this.#plane.api('GET', `/api/v1/commands/${id}`)).body;
    return eventually(look, {
      what: `the end of command ${id}`,
      until: (command) => hasId(command) && command.ended_at !== null,
      timeoutMs: END_TIMEOUT_MS,
    });
  }
}

function hasId(value: unknown): value is { readonly id: string; readonly ended_at: string | null } {
  return typeof value === 'object' && value !== null && 'id' in value && typeof value.id === 'string';
}
