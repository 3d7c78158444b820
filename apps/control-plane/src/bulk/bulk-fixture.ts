import { randomUUID } from 'node:crypto';
import { BUILT_IN_ROLES } from '@drawbridge/protocol/api';
import type { BulkRunView, BulkTargetView } from '@drawbridge/protocol/api';
import { eventually } from '@drawbridge/testkit';
import { newAgentRow } from '../agents/new-agent-row.ts';
import { AuditLog } from '../audit/audit-log.ts';
import { ADMIN, ControlPlaneFixture } from '../control-plane-fixture.ts';
import { ServerIdentity } from '../identity/server-identity.ts';
import type { Actor } from '../operators/actor.ts';
import { Principals } from '../operators/principals.ts';
import { AgentsRepository } from '../store/agents-repository.ts';
import { timestamp } from '../store/timestamp.ts';
import { UsersRepository } from '../store/users-repository.ts';
import { BulkEngine } from './bulk-engine.ts';
import { BulkRuns } from './bulk-runs.ts';
import { bulkTargetView } from './bulk-view.ts';
import type { NewBulkRun } from './new-bulk-run.ts';

type RoleName = keyof typeof BUILT_IN_ROLES;

/** For tests: a run of `agent.ping` on every agent, unless the test says something else. */
export function pingRun(more: Partial<NewBulkRun> = {}): NewBulkRun {
  return {
    choice: { kind: 'selector', selector: '' },
    groupName: null,
    operation: 'agent.ping',
    content: { params: {} },
    provider: null,
    mode: null,
    model: null,
    timeoutSeconds: 60,
    queueIfOffline: false,
    ttlSeconds: 3_600,
    concurrency: 10,
    failuresMax: null,
    ...more,
  };
}

/** For tests: what a run of a task says besides. */
export function taskRun(instructions: string): Pick<NewBulkRun, 'operation' | 'content' | 'provider'> {
  return { operation: 'task.start', content: { instructions }, provider: 'shell' };
}

/** What dies with the process. */
async function boot(control: ControlPlaneFixture) {
  const { db, bus, box, commands, tasks, presence, log } = control.parts;
  const { clock } = control;
  const identity = await ServerIdentity.load(control.dir.join('server-identity.json'));
  const audit = new AuditLog({ db, identity, clock, log, retentionDays: 30 });
  const principals = new Principals({ db, bus, clock, sessionIdleMs: 60_000 });
  const runs = new BulkRuns({ db, box, clock });
  const engine = new BulkEngine({ db, commands, tasks, principals, presence, audit, box, bus, clock, log });
  runs.onChange((runId) => engine.wake(runId));
  const stop = new AbortController();
  return { audit, principals, runs, engine, stop, running: engine.run(stop.signal) };
}

/** For tests: bulk runs, carried out over a real store. Disposing leaves nothing. */
export class BulkFixture implements AsyncDisposable {
  readonly control: ControlPlaneFixture;
  parts: Awaited<ReturnType<typeof boot>>;
  readonly #owned: AsyncDisposable | undefined;

  private constructor(
    control: ControlPlaneFixture,
    parts: Awaited<ReturnType<typeof boot>>,
    owned: AsyncDisposable | undefined,
  ) {
    this.control = control;
    this.parts = parts;
    this.#owned = owned;
  }

  static async make(): Promise<BulkFixture> {
    const control = await ControlPlaneFixture.make();
    return new BulkFixture(control, await boot(control), control);
  }

  /** Over a control plane that somebody else ends, later. */
  static async over(control: ControlPlaneFixture): Promise<BulkFixture> {
    return new BulkFixture(control, await boot(control), undefined);
  }

  /** The process dies in the middle of whatever it does, and another begins on the same store. */
  async crash(): Promise<void> {
    const { stop, running } = this.parts;
    await this.control.restart();
    stop.abort(new Error('crashed'));
    await running;
    this.parts = await boot(this.control);
  }

  /** Somebody with one built-in role, as `Principals` finds them. */
  async person(role: RoleName = 'admin', selector = ''): Promise<Actor> {
    const { db } = this.control.parts;
    const now = timestamp(this.control.clock);
    const id = randomUUID();
    const users = new UsersRepository(db);
    const times = { created_at: now, updated_at: now, disabled_at: null, last_sign_in_at: null };
    await users.insert({ id, name: `user-${id.slice(0, 8)}`, password_hash: null, ...times });
    await this.give(id, role, selector);
    const actor = await this.parts.principals.byText(`user:${id}`);
    if (actor === undefined) throw new Error('nobody is there');
    return actor;
  }

  /** Puts one role in the place of those the user had. */
  async give(userId: string, role: RoleName, selector: string): Promise<void> {
    const { db, bus } = this.control.parts;
    await db.transaction().execute((trx) => new UsersRepository(trx).replaceBindings(userId, [{ role, selector }]));
    bus.publish('access');
  }

  /** An agent that has never connected. */
  async addAgent(name: string, labels: Record<string, string> = {}): Promise<string> {
    const agentId = randomUUID();
    const row = newAgentRow({ agentId, name, labels, now: timestamp(this.control.clock) });
    const { db } = this.control.parts;
    await db.transaction().execute((trx) => new AgentsRepository(trx).insert({ ...row, auth_token_hash: '' }));
    return agentId;
  }

  /** Resolves to the run once it is in this state. */
  until(runId: string, state: BulkRunView['state']): Promise<BulkRunView> {
    return eventually(() => this.parts.runs.find(runId, ADMIN), {
      what: `the run to be ${state}`,
      until: (run) => run.state === state,
    });
  }

  /** The targets, once there are that many in this state. */
  untilTargets(runId: string, state: BulkTargetView['state'], count: number): Promise<BulkTargetView[]> {
    return eventually(() => this.targets(runId), {
      what: `${count} targets to be ${state}`,
      until: (targets) => targets.filter((target) => target.state === state).length === count,
    });
  }

  /** Every target of a run, as an admin sees it. */
  async targets(runId: string): Promise<BulkTargetView[]> {
    const { runs } = this.parts;
    const run = await runs.find(runId, ADMIN);
    const rows = await runs.targets(run, { limit: 5_000, after: -1 }, { state: undefined }, ADMIN);
    return rows.map(bulkTargetView);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { stop, running, audit } = this.parts;
    stop.abort(new Error('over'));
    await running;
    await audit[Symbol.asyncDispose]();
    await this.#owned?.[Symbol.asyncDispose]();
  }
}
