import { memoryLog } from '@drawbridge/runtime/testing';
import { FakeClock } from '@drawbridge/testkit';
import type { Verb } from '@drawbridge/protocol/api';
import type { FastifyInstance } from 'fastify';
import { Kysely } from 'kysely';
import { randomUUID } from 'node:crypto';
import { newAgentRow } from './agents/new-agent-row.ts';
import { MemoryBus } from './bus/memory.ts';
import { loadServerConfig } from './config.ts';
import { ADMIN, recordedLink } from './control-plane-fixture.ts';
import { makeApp } from './control-plane.ts';
import { ServerIdentity } from './identity/server-identity.ts';
import { makeNouns } from './nouns.ts';
import type { Nouns } from './nouns.ts';
import { Observation } from './observation.ts';
import { AgentsRepository } from './store/agents-repository.ts';
import { MIGRATIONS } from './store/migrations/index.ts';
import { migrate } from './store/migrator.ts';
import { openStore } from './store/open-store.ts';
import type { Schema } from './store/schema.ts';
import { SecretBox } from './store/secret-box.ts';
import { defaultEngine, makeTestDatabase } from './store/test-database-fixture.ts';
import { timestamp } from './store/timestamp.ts';

/** Enough for every request of a test. */
const PER_MINUTE = 100_000;

/** More than any route names by itself. */
const METHODS_MIN = 20;

/** For tests: one route as it was registered; its method is `ANY` when it takes them all. */
export interface RegisteredRoute {
  readonly method: string;
  readonly path: string;
  readonly verb: Verb | undefined;
  readonly isPublic: boolean;
}

/** For tests: where an agent belongs. */
export type Env = 'dev' | 'prod';

/** For tests: a whole control plane with all its routes over a real store; it does not listen. Disposing leaves nothing. */
export class RightsWorld implements AsyncDisposable {
  readonly app: FastifyInstance;
  readonly nouns: Nouns;
  readonly clock: FakeClock;
  readonly routes: readonly RegisteredRoute[];
  /** What was logged. */
  readonly lines: readonly Record<string, unknown>[];
  readonly #db: Kysely<Schema>;
  readonly #owned: AsyncDisposableStack;

  private constructor(
    parts: Pick<RightsWorld, 'app' | 'nouns' | 'clock' | 'routes' | 'lines'> & { readonly db: Kysely<Schema> },
    owned: AsyncDisposableStack,
  ) {
    this.app = parts.app;
    this.nouns = parts.nouns;
    this.clock = parts.clock;
    this.routes = parts.routes;
    this.lines = parts.lines;
    this.#db = parts.db;
    this.#owned = owned;
  }

  /** With `root`, an admin. */
  static async make(): Promise<RightsWorld> {
    await using owned = new AsyncDisposableStack();
    const clock = new FakeClock();
    const { location, dir } = owned.use(await makeTestDatabase(defaultEngine()));
    const limits = {
      requests_per_minute: PER_MINUTE,
      auth_attempts_per_minute: PER_MINUTE,
      commands_burst: PER_MINUTE,
    };
    const config = loadServerConfig({ env: {}, overrides: { limits } });
    const { log, lines } = memoryLog();
    const store = owned.use(await openStore(location, dir.path, clock));
    const db = new Kysely<Schema>({ dialect: store.dialect });
    await migrate(db, MIGRATIONS, clock);
    const box = await SecretBox.load(dir.join('secret.key'));
    const identity = await ServerIdentity.load(dir.join('server-identity.json'));
    const observation = owned.use(await Observation.start({ config, clock, log }));
    const publicUrl = () => 'http://127.0.0.1:7400';
    const bus = new MemoryBus();
    const foundation = { config, db, store, bus, box, identity, clock, log, observation, publicUrl };
    const nouns = makeNouns(foundation);
    owned.use(nouns.audit);
    owned.use(nouns.leases);
    const routes: RegisteredRoute[] = [];
    const app = await makeApp(foundation, nouns, {
      publicUrl,
      isDraining: () => false,
      observers: [(fastify) => listRoutes(fastify, routes)],
    });
    owned.defer(() => app.close());
    await nouns.users.createFirst('root', undefined);
    return new RightsWorld({ app, nouns, clock, routes, lines, db }, owned.move());
  }

  /** An agent that has never connected. */
  async addAgent(env: Env): Promise<string> {
    const agentId = randomUUID();
    const row = newAgentRow({
      agentId,
      name: `${env}-${agentId.slice(0, 8)}`,
      labels: { env },
      now: timestamp(this.clock),
    });
    await new AgentsRepository(this.#db).insert({ ...row, auth_token_hash: '' });
    return agentId;
  }

  /** The store says that it is connected now. */
  async noteConnected(agentId: string): Promise<number> {
    const facts = { version: '1', os: null, arch: null, capabilities: '[]' };
    return (await new AgentsRepository(this.#db).connect(agentId, facts, timestamp(this.clock))) ?? 0;
  }

  /** A task that waits for its agent, and its command. */
  async addTask(agentId: string): Promise<{ readonly taskId: string; readonly commandId: string }> {
    const wanted = { provider: 'shell', instructions: 'true', mode: undefined, model: undefined, timeoutSeconds: 60 };
    const when = { queueIfOffline: true, ttlSeconds: 3_600, idempotencyKey: undefined };
    const task = await this.nouns.tasks.create({ agentId, ...wanted, ...when }, ADMIN);
    return { taskId: task.id, commandId: task.command_id };
  }

  /** A command that waits for its agent. */
  async addCommand(agentId: string): Promise<string> {
    const wanted = { agentId, operation: 'agent.ping', params: {}, timeoutSeconds: 60 } as const;
    const when = { queueIfOffline: true, ttlSeconds: 3_600, hasDeadline: true };
    return (await this.nouns.commands.create({ ...wanted, ...when }, ADMIN)).id;
  }

  /** A lease of somebody else's tunnel; its agent is away again. */
  async addLease(agentId: string): Promise<string> {
    const { presence, leases, agents } = this.nouns;
    const link = recordedLink({ agentId });
    presence.attach(link);
    const { tunnelId } = await leases.request(ADMIN, await agents.find(agentId), { protocol: 'tcp' });
    presence.detach(link);
    return tunnelId;
  }

  /** A user without a password, by id. */
  async addUser(name: string, roles: readonly (readonly [role: string, selector: string])[] = []): Promise<string> {
    const bindings = roles.map(([role, selector]) => ({ role, selector }));
    return (await this.nouns.users.create({ name, password: undefined, roles: bindings }, ADMIN)).id;
  }

  async disable(userId: string): Promise<void> {
    await this.nouns.users.update(userId, { disabled: true }, ADMIN);
  }

  /** What lets this user in. */
  async signIn(userId: string): Promise<string> {
    const by = { label: 'a test', method: 'password', address: null } as const;
    return (await this.nouns.sessions.open(userId, by)).token;
  }

  /** What lets a program in, as this user or as less. */
  async issueToken(userId: string, narrowed: { verbs?: readonly Verb[]; selector?: string; seconds?: number } = {}) {
    const { verbs = null, selector = '', seconds: expiresInSeconds = 86_400 } = narrowed;
    const owner = { ...ADMIN, kind: 'user', id: userId, userId, name: 'owner' } as const;
    return this.nouns.apiTokens.issue({ name: 'narrow', verbs, selector, expiresInSeconds }, owner);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#owned.disposeAsync();
  }
}

function listRoutes(app: FastifyInstance, routes: RegisteredRoute[]): void {
  app.addHook('onRoute', ({ method, url, config }) => {
    const named = [method].flat();
    for (const one of named.length >= METHODS_MIN ? ['ANY'] : named) {
      routes.push({ method: one, path: url, verb: config?.verb, isPublic: config?.public === true });
    }
  });
}
