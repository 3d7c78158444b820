import { randomUUID } from 'node:crypto';
import { systemClock } from '@drawbridge/link';
import { LIMITS } from '@drawbridge/protocol';
import { createLogger } from '@drawbridge/runtime';
import { Kysely } from 'kysely';
import { newAgentRow } from '../../apps/control-plane/src/agents/new-agent-row.ts';
import { Presence } from '../../apps/control-plane/src/agents/presence.ts';
import { MemoryBus } from '../../apps/control-plane/src/bus/memory.ts';
import { CommandService } from '../../apps/control-plane/src/commands/command-service.ts';
import { TokenBuckets } from '../../apps/control-plane/src/limits/token-buckets.ts';
import { SYSTEM } from '../../apps/control-plane/src/operators/actor.ts';
import { AgentsRepository } from '../../apps/control-plane/src/store/agents-repository.ts';
import type { CommandRow } from '../../apps/control-plane/src/store/commands-repository.ts';
import { MIGRATIONS } from '../../apps/control-plane/src/store/migrations/index.ts';
import { migrate } from '../../apps/control-plane/src/store/migrator.ts';
import { openStore } from '../../apps/control-plane/src/store/open-store.ts';
import type { Schema } from '../../apps/control-plane/src/store/schema.ts';
import { SecretBox } from '../../apps/control-plane/src/store/secret-box.ts';
import type { Store } from '../../apps/control-plane/src/store/store.ts';
import { timestamp } from '../../apps/control-plane/src/store/timestamp.ts';
import type { BenchDatabase } from './bench-database.ts';

/** Connections to PostgreSQL that a store has unless it is told otherwise; its reference gets no more. */
export const CONNECTIONS_MAX = 10;
/** Enough that no agent has too many commands, and that callers seldom want the same one. */
const AGENTS = 1_000;
const WANTED = {
  operation: 'agent.ping',
  params: {},
  timeoutSeconds: 60,
  queueIfOffline: true,
  ttlSeconds: 3_600,
  hasDeadline: true,
} as const;

/** The commands of a control plane without its carriers, over its real store. */
export class CommandStore implements AsyncDisposable {
  readonly agentIds: readonly string[];
  readonly #store: Store;
  readonly #commands: CommandService;
  #created = 0;

  private constructor(agentIds: readonly string[], store: Store, commands: CommandService) {
    this.agentIds = agentIds;
    this.#store = store;
    this.#commands = commands;
  }

  /** Opens it with agents that are away. */
  static async open({ url, dir }: BenchDatabase): Promise<CommandStore> {
    const clock = systemClock;
    const store = await openStore({ url, connections_max: CONNECTIONS_MAX }, dir.path, clock);
    const db = new Kysely<Schema>({ dialect: store.dialect });
    await migrate(db, MIGRATIONS, clock);
    const agentIds = await insertAgents(db);
    const bus = new MemoryBus();
    const commands = new CommandService({
      db,
      bus,
      clock,
      presence: new Presence(bus, clock),
      box: await SecretBox.load(dir.join('secret.key')),
      log: createLogger({ level: 'silent' }),
      rateLimit: new TokenBuckets({ rate: { perSecond: 1, burst: 1 }, clock, refusal: () => 'not asked' }),
      commandsPerAgentMax: LIMITS.commandsPerAgentMax,
    });
    return new CommandStore(agentIds, store, commands);
  }

  /** Resolves when one more command is durable; the agents take turns. */
  create(): Promise<CommandRow> {
    this.#created += 1;
    const agentId = this.agentIds[this.#created % this.agentIds.length] ?? '';
    // Whom no rate limits: the store is what is measured.
    return this.#commands.create({ ...WANTED, agentId }, SYSTEM);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store.close();
  }
}

async function insertAgents(db: Kysely<Schema>): Promise<string[]> {
  const agentIds = Array.from({ length: AGENTS }, () => randomUUID());
  const now = timestamp(systemClock);
  await db.transaction().execute(async (trx) => {
    const agents = new AgentsRepository(trx);
    for (const [index, agentId] of agentIds.entries()) {
      const row = newAgentRow({ agentId, name: `agent-${index}`, labels: {}, now });
      await agents.insert({ ...row, auth_token_hash: '' });
    }
  });
  return agentIds;
}
