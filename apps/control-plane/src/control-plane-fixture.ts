import { randomUUID } from 'node:crypto';
import type { MessageSocket } from '@drawbridge/link';
import { LIMITS, WsClose } from '@drawbridge/protocol';
import { VERBS } from '@drawbridge/protocol/api';
import { FakeClock, eventually } from '@drawbridge/testkit';
import type { TempDir } from '@drawbridge/testkit';
import { memoryLog } from '@drawbridge/runtime/testing';
import { Kysely } from 'kysely';
import { AgentSettings } from './agents/agent-settings.ts';
import { newAgentRow } from './agents/new-agent-row.ts';
import { Presence } from './agents/presence.ts';
import type { LiveLink } from './agents/presence.ts';
import { MemoryBus } from './bus/memory.ts';
import { CommandService } from './commands/command-service.ts';
import type { NewCommand } from './commands/command-service.ts';
import { Delivery } from './commands/delivery.ts';
import { EventFeed } from './events/event-feed.ts';
import { followChanges } from './events/follow-changes.ts';
import { Reaper } from './commands/reaper.ts';
import { TokenBuckets } from './limits/token-buckets.ts';
import { Metrics } from './observability/metrics.ts';
import type { Actor } from './operators/actor.ts';
import { AgentsRepository } from './store/agents-repository.ts';
import type { CommandRow } from './store/commands-repository.ts';
import { JournalsRepository } from './store/journals-repository.ts';
import { MIGRATIONS } from './store/migrations/index.ts';
import { migrate } from './store/migrator.ts';
import { openStore } from './store/open-store.ts';
import type { Schema } from './store/schema.ts';
import { SecretBox } from './store/secret-box.ts';
import { defaultEngine, makeTestDatabase } from './store/test-database-fixture.ts';
import type { TestDatabase } from './store/test-database-fixture.ts';
import { timestamp } from './store/timestamp.ts';
import { TaskService } from './tasks/task-service.ts';
import { AgentInbox } from './ws/agent-inbox.ts';
import { AgentLink } from './ws/agent-link.ts';

/** For tests: somebody who may do everything. */
export const ADMIN: Actor = {
  kind: 'token',
  id: 'admin',
  name: 'admin',
  userId: 'admin',
  grants: [{ verbs: new Set(VERBS), selector: [] }],
};

/** For tests: one message as it was sent to an agent. */
export interface Sent {
  readonly type: string;
  readonly payload: unknown;
  readonly id: string | undefined;
}

/** For tests: a connection whose messages are kept. */
export interface RecordedLink extends LiveLink {
  readonly sent: Sent[];
  readonly ends: { code: number; reason: string }[];
}

/** For tests: a link that is not attached to anything yet. */
export function recordedLink(link: Pick<LiveLink, 'agentId'> & Partial<LiveLink>): RecordedLink {
  const sent: Sent[] = [];
  const ends: RecordedLink['ends'] = [];
  return {
    epoch: 1,
    journalId: randomUUID(),
    instance: undefined,
    journalOutdated: false,
    unacknowledged: new Set(),
    health: undefined,
    send: (type, payload, id) => sent.push({ type, payload, id }),
    end: (code, reason) => ends.push({ code, reason }),
    ...link,
    sent,
    ends,
  };
}

/** Whoever made a command may still have it. */
const EVERY_RIGHT = { refusal: async () => undefined };

/** The nouns of a control plane over a real store, without its carriers. What dies with the process is made by `boot`. */
async function boot({ location, dir }: TestDatabase, clock: FakeClock) {
  const { log, lines } = memoryLog();
  const store = await openStore(location, dir.path, clock);
  const db = new Kysely<Schema>({ dialect: store.dialect });
  await migrate(db, MIGRATIONS, clock);
  const box = await SecretBox.load(dir.join('secret.key'));
  await new AgentsRepository(db).disconnectAll(timestamp(clock));
  const metrics = new Metrics();
  const bus = new MemoryBus();
  const presence = new Presence(bus, clock);
  const commandsPerAgentMax = LIMITS.commandsPerAgentMax;
  const rateLimit = new TokenBuckets({ rate: { perSecond: 1_000, burst: 1_000 }, clock, refusal: () => 'too many' });
  const commands = new CommandService({ db, presence, box, bus, clock, log, rateLimit, commandsPerAgentMax });
  const delivery = new Delivery(commands, { db, presence, clock, log, rights: EVERY_RIGHT });
  commands.onPending((agentId) => delivery.wake(agentId));
  const reaper = new Reaper(commands, { db, presence, clock, log });
  const tasks = new TaskService({ db, commands, bus, clock });
  const feed = new EventFeed(clock);
  followChanges(feed.publish, { presence, commands, tasks });
  const { publish } = feed;
  const defaults = { heartbeat_interval: 20, command_timeout: 300 };
  const settings = new AgentSettings({ db, presence, publish, clock, defaults, silenceSeconds: 45 });
  const inbox = new AgentInbox({ db, presence, commands, delivery, tasks, settings, clock, log });
  return {
    store,
    db,
    box,
    bus,
    presence,
    commands,
    delivery,
    reaper,
    tasks,
    inbox,
    feed,
    settings,
    publish,
    metrics,
    log,
    lines,
  };
}

type Parts = Awaited<ReturnType<typeof boot>>;

/** For tests: a control plane's nouns, its agents and their connections. Disposing leaves nothing. */
export class ControlPlaneFixture implements AsyncDisposable {
  readonly dir: TempDir;
  readonly clock: FakeClock;
  parts: Parts;
  readonly #database: TestDatabase;

  private constructor(database: TestDatabase, clock: FakeClock, parts: Parts) {
    this.#database = database;
    this.dir = database.dir;
    this.clock = clock;
    this.parts = parts;
  }

  static async make(clock = new FakeClock(), engine = defaultEngine()): Promise<ControlPlaneFixture> {
    const database = await makeTestDatabase(engine);
    return new ControlPlaneFixture(database, clock, await boot(database, clock));
  }

  /** The process ends and another begins on the same store; nobody is connected then. */
  async restart(): Promise<void> {
    await this.parts.store.close();
    this.parts = await boot(this.#database, this.clock);
  }

  /** An agent that has never connected. */
  async addAgent(name = `agent-${randomUUID().slice(0, 8)}`): Promise<string> {
    const agentId = randomUUID();
    const row = newAgentRow({ agentId, name, labels: {}, now: timestamp(this.clock) });
    await new AgentsRepository(this.parts.db).insert({ ...row, auth_token_hash: '' });
    return agentId;
  }

  /** A new connection: gets its epoch, its journal is looked up, and takes the place of the one before. */
  async attach(agentId: string, more: Partial<LiveLink> & { lastEventSeq?: number } = {}): Promise<RecordedLink> {
    const { lastEventSeq = 0, ...given } = more;
    const now = timestamp(this.clock);
    const { db, presence } = this.parts;
    const facts = { version: '1', os: null, arch: null, capabilities: '[]' };
    const epoch = (await new AgentsRepository(db).connect(agentId, facts, now)) ?? 0;
    const journalId = given.journalId ?? randomUUID();
    const stored = await new JournalsRepository(db).lastSeq(agentId, journalId, now);
    const link = recordedLink({ agentId, epoch, journalOutdated: stored > lastEventSeq, ...given, journalId });
    presence.attach(link);
    return link;
  }

  /** A new connection on which delivery has begun. */
  async connect(agentId: string, more: Partial<LiveLink> & { lastEventSeq?: number } = {}): Promise<RecordedLink> {
    const link = await this.attach(agentId, more);
    await this.parts.delivery.linkUp(link);
    return link;
  }

  /**
   * Serves an agent's socket as the door does once hands are shaken: a real link, read and delivered to, until it ends.
   * Resolves to the last event that is stored under the agent's journal.
   */
  async accept(
    agentId: string,
    socket: MessageSocket,
    journal: { readonly journalId: string; readonly lastEventSeq: number },
  ): Promise<number> {
    const { db, presence, inbox, delivery, metrics, log } = this.parts;
    const now = timestamp(this.clock);
    const facts = { version: '1', os: null, arch: null, capabilities: '[]' };
    const epoch = (await new AgentsRepository(db).connect(agentId, facts, now)) ?? 0;
    const lastSeq = await new JournalsRepository(db).lastSeq(agentId, journal.journalId, now);
    const link = new AgentLink({
      socket,
      clock: this.clock,
      inbox,
      metrics: metrics.links,
      agentId,
      epoch,
      journalId: journal.journalId,
      instance: undefined,
      journalOutdated: lastSeq > journal.lastEventSeq,
      onError: (error) => log.error({ err: error }, 'message not handled'),
    });
    presence.attach(link)?.superseded?.end(WsClose.Superseded, 'superseded');
    link.listen();
    delivery
      .linkUp(link)
      .catch(() => link.end(WsClose.TryAgainLater, 'store unavailable'))
      .then(() => link.ended)
      .then(() => this.disconnect(link))
      .catch((error: unknown) => log.warn({ err: error }, 'the store is gone'));
    return lastSeq;
  }

  /** The end of a connection, as the door sees it. */
  async disconnect(link: LiveLink): Promise<void> {
    if (this.parts.presence.detach(link)) await this.parts.reaper.linkGone(link);
  }

  /** Somebody wants something: by default a read that waits for its agent. */
  create(agentId: string, wanted: Partial<NewCommand> = {}): Promise<CommandRow> {
    const command = {
      agentId,
      operation: 'agent.ping',
      params: {},
      timeoutSeconds: 60,
      queueIfOffline: true,
      ttlSeconds: 3_600,
      hasDeadline: true,
      ...wanted,
    } as const satisfies NewCommand;
    return this.parts.commands.create(command, ADMIN);
  }

  /** The `command` messages of a link, once there are that many. */
  async delivered(link: RecordedLink, count: number): Promise<Sent[]> {
    return eventually(() => link.sent.filter(({ type }) => type === 'command'), {
      what: `${count} commands to be sent`,
      until: (sent) => sent.length === count,
    });
  }

  async state(id: string): Promise<CommandRow['state']> {
    return (await this.parts.commands.get(id)).state;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.parts.store.close();
    await this.#database[Symbol.asyncDispose]();
  }
}

/** For tests: the parameters of a `once` command, which hold content. */
export function taskStart(instructions = 'true'): Pick<NewCommand, 'operation' | 'params' | 'hasDeadline'> {
  const params = { task_id: randomUUID(), provider: 'shell', instructions, timeout_seconds: 60 };
  return { operation: 'task.start', params, hasDeadline: false };
}
