import { ControlError } from '@drawbridge/protocol';
import type { AuditEntry } from '../audit/audit-entry.ts';
import { ADMIN } from '../control-plane-fixture.ts';
import { AgentLabels } from '../events/agent-labels.ts';
import type { NewEvent } from '../events/event-feed.ts';
import type { Actor } from '../operators/actor.ts';
import { PeopleFixture } from '../operators/people-fixture.ts';
import { AgentsRepository } from '../store/agents-repository.ts';
import type { AgentRow } from '../store/agents-repository.ts';
import { LeasesRepository } from '../store/leases-repository.ts';
import type { LeaseRow } from '../store/leases-repository.ts';
import type { WantedTunnel } from './domain-limits.ts';
import { LeaseActivity } from './lease-activity.ts';
import type { Lease, LeaseEnd } from './lease.ts';
import { Leases } from './leases.ts';
import { LeasedPorts, SharedPort } from './port-pool.ts';
import type { BoundPort, LeasePorts } from './port-pool.ts';

const CONFIG = { idle_timeout: 3600, grace_timeout: 3600, domains: { ps: 1, rdp_vnc_webrtc: 1, ssh: 2, winrm: 0 } };

const RANGE = { first: 30_000, last: 30_003 };

/** For tests: ports of a system that somebody else uses too. */
export class PortsOfSystem {
  readonly open = new Map<number, string>();
  /** Ports that cannot be had, and why. */
  readonly refused = new Map<number, string>();

  readonly bind = async (port: number, tunnelId: string): Promise<BoundPort> => {
    const code = this.open.has(port) ? 'EADDRINUSE' : this.refused.get(port);
    if (code !== undefined) throw Object.assign(new Error(code), { code });
    this.open.set(port, tunnelId);
    return {
      close: async () => {
        this.open.delete(port);
      },
    };
  };
}

/** For tests: leases over a real store, and people who have rights to them. Disposing leaves nothing. */
export class LeasesFixture implements AsyncDisposable {
  readonly people: PeopleFixture;
  readonly system = new PortsOfSystem();
  readonly recorded: AuditEntry[] = [];
  readonly published: NewEvent[] = [];
  readonly requested: string[] = [];
  readonly ended: { tunnelId: string; end: LeaseEnd }[] = [];
  leases: Leases;
  #mode: 'shared' | 'leased' = 'shared';

  private constructor(people: PeopleFixture) {
    this.people = people;
    this.leases = this.#boot();
  }

  static async make(): Promise<LeasesFixture> {
    return new LeasesFixture(await PeopleFixture.make());
  }

  get clock() {
    return this.people.control.clock;
  }

  /** The process ends, however it does, and another one loads what it left. Nobody is connected then. */
  async restart(mode: 'shared' | 'leased' = 'shared'): Promise<void> {
    this.#mode = mode;
    this.system.open.clear();
    await this.people.control.restart();
    await this.reload();
  }

  /** Leases of another process over the same store. */
  async reload(): Promise<void> {
    this.leases = this.#boot();
    await this.leases.load();
  }

  /** An agent that is connected. */
  async agent(name?: string, labels: Readonly<Record<string, string>> = {}): Promise<AgentRow> {
    const { control } = this.people;
    const agentId = await control.addAgent(name);
    if (Object.keys(labels).length > 0) await this.label(agentId, labels);
    await control.attach(agentId);
    return this.row(agentId);
  }

  async label(agentId: string, labels: Readonly<Record<string, string>>): Promise<void> {
    const { db } = this.people.control.parts;
    const { name } = await this.row(agentId);
    await new AgentsRepository(db).update(agentId, { name, labels }, '2026-01-07T10:00:00.000Z');
  }

  async row(agentId: string): Promise<AgentRow> {
    const row = await new AgentsRepository(this.people.control.parts.db).find(agentId);
    if (row === undefined) throw new Error(`no agent ${agentId}`);
    return row;
  }

  request(agent: AgentRow, wanted: WantedTunnel = { protocol: 'tcp' }, actor: Actor = ADMIN): Promise<Lease> {
    return this.leases.request(actor, agent, wanted);
  }

  /** A lease with both ends. */
  async active(agent: AgentRow, wanted?: WantedTunnel, actor?: Actor): Promise<Lease> {
    const lease = await this.request(agent, wanted, actor);
    await this.bothUp(lease);
    return lease;
  }

  async bothUp({ tunnelId }: Lease): Promise<void> {
    await this.leases.legUp(tunnelId, 'agent');
    await this.leases.legUp(tunnelId, 'operator');
  }

  /** As it is stored. */
  async stored({ tunnelId }: Pick<Lease, 'tunnelId'>): Promise<LeaseRow> {
    const row = await new LeasesRepository(this.people.control.parts.db).find(tunnelId);
    if (row === undefined) throw new ControlError('tunnel_not_found', tunnelId);
    return row;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.people[Symbol.asyncDispose]();
  }

  #boot(): Leases {
    const { control, access } = this.people;
    const { db, presence, log } = control.parts;
    const audit = { record: async (entry: AuditEntry) => void this.recorded.push(entry) };
    const publish = (event: NewEvent) => void this.published.push(event);
    const leases = new Leases({
      db,
      ports: this.#ports(),
      presence,
      access,
      labels: new AgentLabels({ db, clock: this.clock }),
      activity: new LeaseActivity({ audit, publish, log, refusals: { spend: () => true } }),
      clock: this.clock,
      log,
      config: CONFIG,
    });
    leases.onRequested(({ tunnelId }) => this.requested.push(tunnelId));
    leases.onEnded(({ tunnelId }, end) => this.ended.push({ tunnelId, end }));
    return leases;
  }

  #ports(): LeasePorts {
    return this.#mode === 'shared' ? new SharedPort(() => 7400) : new LeasedPorts(RANGE, this.system.bind);
  }
}
