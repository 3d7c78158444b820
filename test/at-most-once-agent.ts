import { randomUUID } from 'node:crypto';
import type { MessageSocket } from '@drawbridge/link';
import { OPERATIONS } from '@drawbridge/protocol';
import type { OperationName, ServerMessage } from '@drawbridge/protocol';
import { memoryLog } from '@drawbridge/runtime/testing';
import { FakeClock } from '@drawbridge/testkit';
import { EventOutbox } from '../apps/agent/src/commands/event-outbox.ts';
import { Executor } from '../apps/agent/src/commands/executor.ts';
import type { OperationHandler } from '../apps/agent/src/commands/executor.ts';
import { Journal } from '../apps/agent/src/journal/journal.ts';
import { AgentLink } from '../apps/agent/src/link/agent-link.ts';

/** What a command does; `key` says which one it is. It ends at once, or goes on until the test ends it. */
type Act = (key: string) => 'ends' | 'goes on';

/** One process of the agent: its real command parts, and what dies with it. */
export class AgentProcess implements Disposable {
  readonly clock = new FakeClock();
  readonly journal: Journal;
  readonly #executor: Executor;
  readonly #events: EventOutbox;
  readonly #held: PromiseWithResolvers<unknown>[] = [];
  readonly #act: Act;

  constructor(journalPath: string, act: Act) {
    const { clock } = this;
    const { log } = memoryLog();
    this.journal = Journal.open(journalPath, () => clock.now());
    this.#act = act;
    this.#events = new EventOutbox(this.journal, log);
    const handlers = handlersOf((key, signal) => this.#run(key, signal));
    this.#executor = new Executor({ journal: this.journal, clock, log, isAllowed: () => true, handlers });
  }

  /** What has begun and not ended. */
  get running(): number {
    return this.#held.length;
  }

  /** What runs for longest comes to its end. */
  finishOldest(): void {
    this.#held.shift()?.resolve({ done: true });
  }

  /** The journal turned out to be an old copy: it goes on under a new id. */
  rotateJournal(): void {
    this.journal.rotate();
    this.#events.restart();
  }

  /** Serves a link whose hands are shaken. Resolves when it has ended. */
  async serve(socket: MessageSocket): Promise<void> {
    const link = new AgentLink({
      dialled: { socket, ...WELCOME },
      clock: this.clock,
      intervalMs: 20_000,
      listener: { message: (message) => this.#dispatch(message) },
      health: () => ({}),
    });
    this.#executor.linkUp(link);
    this.#events.linkUp(link);
    await link.ended;
    this.#executor.linkDown();
    this.#events.linkDown();
  }

  [Symbol.dispose](): void {
    this.journal[Symbol.dispose]();
  }

  #run(key: string, signal: AbortSignal): Promise<unknown> {
    const then = this.#act(key);
    this.#events.append('warning', { key });
    const run = Promise.withResolvers<unknown>();
    if (then === 'ends') run.resolve({ done: true });
    else this.#held.push(run);
    signal.addEventListener('abort', () => run.reject(signal.reason), { once: true });
    return run.promise;
  }

  /** What of `agent.ts` concerns commands. */
  #dispatch(message: ServerMessage): void {
    const executor = this.#executor;
    if (message.type === 'command') executor.receive(message.id, message.payload);
    else if (message.type === 'cancel') executor.cancel(message.payload.command_id);
    else if (message.type !== 'ack') return;
    else if ('event_seq' in message.payload) this.#events.acknowledged(message.payload.event_seq);
    else if ('command_id' in message.payload) executor.acknowledged(message.payload.command_id);
  }
}

const WELCOME = {
  hello: { server_id: randomUUID(), nonce: 'n'.repeat(16), time: new Date(0).toISOString(), version: 1, signature: '' },
  accepted: {
    status: 'authenticated',
    session_id: randomUUID(),
    epoch: 1,
    config: { heartbeat_interval: 20, command_timeout: 300 },
    last_event_seq: 0,
  },
} as const;

/** Every operation acts the same way; its key is in the parameters. */
function handlersOf(run: (key: string, signal: AbortSignal) => Promise<unknown>) {
  const names = Object.keys(OPERATIONS) as OperationName[];
  const keyOf = (params: unknown) => /[0-9a-f]{8}-[0-9a-f-]{27}/.exec(JSON.stringify(params))?.[0] ?? '';
  const handler: OperationHandler = (params, signal) => run(keyOf(params), signal);
  return Object.fromEntries(names.map((name) => [name, handler])) as Record<OperationName, OperationHandler>;
}
