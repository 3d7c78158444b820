import { createLogger } from '@drawbridge/runtime';
import { FakeClock } from '@drawbridge/testkit';
import { Kysely } from 'kysely';
import { ServerIdentity } from '../identity/server-identity.ts';
import { MIGRATIONS } from '../store/migrations/index.ts';
import { migrate } from '../store/migrator.ts';
import type { Schema } from '../store/schema.ts';
import { openStore } from '../store/open-store.ts';
import type { Store } from '../store/store.ts';
import { defaultEngine, makeTestDatabase, type TestDatabase } from '../store/test-database-fixture.ts';
import type { AuditEntry } from './audit-entry.ts';
import { AuditLog } from './audit-log.ts';

/** For tests: somebody reads an agent, unless the test says something else. */
export function entry(more: Partial<AuditEntry> = {}): AuditEntry {
  return {
    actor: 'user:u1',
    actorName: 'ada',
    verb: 'agent.read',
    resource: 'agent:a1',
    agentId: 'a1',
    address: '192.0.2.7',
    requestId: 'r1',
    result: 'allowed',
    reason: null,
    details: {},
    ...more,
  };
}

/** For tests: an audit log on a real store. Disposing leaves nothing. */
export class AuditFixture implements AsyncDisposable {
  readonly database: TestDatabase;
  readonly clock = new FakeClock();
  readonly identity: ServerIdentity;
  readonly lines: Record<string, unknown>[] = [];
  readonly retentionDays = 30;
  store: Store;
  db: Kysely<Schema>;
  log: AuditLog;

  private constructor(database: TestDatabase, identity: ServerIdentity, store: Store) {
    this.database = database;
    this.identity = identity;
    this.store = store;
    this.db = new Kysely<Schema>({ dialect: store.dialect });
    this.log = this.newLog();
  }

  static async make(engine = defaultEngine()): Promise<AuditFixture> {
    const database = await makeTestDatabase(engine);
    const identity = await ServerIdentity.load(database.dir.join('server-identity.json'));
    const fixture = new AuditFixture(database, identity, await open(database));
    await migrate(fixture.db, MIGRATIONS, fixture.clock);
    return fixture;
  }

  /** Another control plane on the same store. */
  newLog(): AuditLog {
    const sink = { write: (text: string) => this.lines.push(JSON.parse(text) as Record<string, unknown>) };
    const log = createLogger({ level: 'debug', sink });
    const { db, identity, clock, retentionDays } = this;
    return new AuditLog({ db, identity, clock, log, retentionDays });
  }

  /** The process ends without a word, and another begins on the same store. */
  async restart(): Promise<void> {
    await this.store.close();
    this.store = await open(this.database);
    this.db = new Kysely<Schema>({ dialect: this.store.dialect });
    this.log = this.newLog();
  }

  /** `count` records, and a checkpoint after every `stretch` of them. */
  async fill(count: number, stretch = count + 1): Promise<void> {
    for (let made = 1; made <= count; made += 1) {
      await this.log.record(entry({ requestId: `r${made}`, details: { count: made } }));
      if (made % stretch === 0) await this.log.checkpoint();
    }
  }

  /** The numbers of all records, in order. */
  async seqs(): Promise<number[]> {
    const rows = await this.db.selectFrom('audit_records').select('seq').orderBy('seq').execute();
    return rows.map(({ seq }) => seq);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    await this.database[Symbol.asyncDispose]();
  }
}

function open({ location, dir }: TestDatabase): Promise<Store> {
  return openStore(location, dir.path, new FakeClock());
}
