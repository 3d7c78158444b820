import { randomUUID } from 'node:crypto';
import { AgentMessage, encodeMessage } from '@drawbridge/protocol';
import { FakeClock, settle, socketPair } from '@drawbridge/testkit';
import type { OperationHandler } from './commands/executor.ts';
import { AgentLink } from './link/agent-link.ts';
import type { LinkListener } from './link/agent-link.ts';

/** A live control link over a pair of sockets, with the test as the control plane. */
export interface LinkFixture {
  readonly link: AgentLink;
  readonly clock: FakeClock;
  /** What the agent has said, oldest first, heartbeats left out. */
  readonly heard: AgentMessage[];
  readonly heartbeats: AgentMessage[];
  /** Says something to the agent; text goes out as it is. */
  readonly say: (type: string, payload: unknown, id?: string) => Promise<void>;
  readonly sayRaw: (message: string | Uint8Array) => Promise<void>;
  /** How the agent closed the socket. */
  readonly closed: { code: number; reason: string }[];
  readonly cut: () => void;
}

/** For tests: opens such a link. */
export async function openLink(
  listener: LinkListener = { message: () => undefined },
  clock: FakeClock = new FakeClock(),
): Promise<LinkFixture> {
  const pair = socketPair({ clock });
  const heard: AgentMessage[] = [];
  const heartbeats: AgentMessage[] = [];
  const closed: LinkFixture['closed'] = [];
  pair.b.listen({
    message(text) {
      const message = AgentMessage.parse(JSON.parse(String(text)));
      (message.type === 'heartbeat' ? heartbeats : heard).push(message);
    },
    closed: ({ code, reason }) => closed.push({ code, reason }),
  });
  const time = new Date(clock.now()).toISOString();
  const link = new AgentLink({
    dialled: {
      socket: pair.a,
      hello: { server_id: randomUUID(), nonce: 'n'.repeat(16), time, version: 1, signature: '' },
      accepted: {
        status: 'authenticated',
        session_id: randomUUID(),
        epoch: 1,
        config: { heartbeat_interval: 20, command_timeout: 300 },
        last_event_seq: 0,
      },
    },
    clock,
    intervalMs: 20_000,
    listener,
    health: () => ({}),
  });
  const sayRaw = async (message: string | Uint8Array) => {
    pair.b.send(message);
    await settle();
  };
  const say = (type: string, payload: unknown, id: string = randomUUID()) =>
    sayRaw(encodeMessage({ id, type, timestamp: new Date(clock.now()).toISOString(), payload }));
  await settle();
  return { link, clock, heard, heartbeats, say, sayRaw, closed, cut: pair.cut };
}

/** For tests: an operation that ends when the test says so. */
export interface HeldHandler {
  readonly handler: OperationHandler;
  /** The parameters of every run that began. */
  readonly runs: unknown[];
  /** Ends the oldest run. */
  readonly succeed: (data: unknown) => Promise<void>;
  readonly fail: (error: unknown) => Promise<void>;
}

/** For tests: makes one; with its signal it stops, as every handler does. */
export function heldHandler(): HeldHandler {
  const runs: unknown[] = [];
  const held: PromiseWithResolvers<unknown>[] = [];
  return {
    runs,
    handler(params, signal) {
      runs.push(params);
      const run = Promise.withResolvers<unknown>();
      held.push(run);
      signal.addEventListener('abort', () => run.reject(signal.reason), { once: true });
      return run.promise;
    },
    async succeed(data) {
      held.shift()?.resolve(data);
      await settle();
    },
    async fail(error) {
      held.shift()?.reject(error);
      await settle();
    },
  };
}
