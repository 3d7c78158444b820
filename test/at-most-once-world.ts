import { randomUUID } from 'node:crypto';
import { copyFile, rm } from 'node:fs/promises';
import { TempDir, eventually, settle, socketPair } from '@drawbridge/testkit';
import type { SocketPair } from '@drawbridge/testkit';
import { expect } from 'vitest';
import { ControlPlaneFixture } from '../apps/control-plane/src/control-plane-fixture.ts';
import { AgentProcess } from './at-most-once-agent.ts';

/** What a second run of a command would mean. */
export type Kind = 'once' | 'read' | 'idempotent';

/** Where the network breaks: on the way to the agent (a to b) or to the control plane, after so many messages. */
export interface Cut {
  readonly direction: 'aToB' | 'bToA';
  readonly after: number;
}

const FINAL = ['succeeded', 'failed', 'cancelled', 'expired', 'indeterminate'];

/** A command, and what the test saw of it. */
interface Followed {
  readonly key: string;
  readonly kind: Kind;
  readonly commandId: string;
  /** How often it acted. */
  effects: number;
  /** Cancelled before it acted, while the agent was away: the cancel comes before the command. */
  mustNotAct: boolean;
}

/** The real command parts of a control plane and an agent, joined by a network in memory that breaks when told to. */
export class World implements AsyncDisposable {
  readonly #control: ControlPlaneFixture;
  readonly #dir: TempDir;
  readonly #agentId: string;
  readonly #followed = new Map<string, Followed>();
  #agent: AgentProcess | undefined;
  #pair: SocketPair | undefined;
  #kills = 0;
  #finishesAtOnce = false;
  #copy: { readonly journalId: string; readonly lastEventSeq: number } | undefined;

  private constructor(control: ControlPlaneFixture, dir: TempDir, agentId: string) {
    this.#control = control;
    this.#dir = dir;
    this.#agentId = agentId;
  }

  static async make(): Promise<World> {
    const control = await ControlPlaneFixture.make();
    const world = new World(control, await TempDir.make(), await control.addAgent());
    await world.startAgent();
    return world;
  }

  /** Somebody wants something done. */
  async create(kind: Kind): Promise<void> {
    const key = randomUUID();
    const row = await this.#control.create(this.#agentId, wanted(kind, key));
    this.#followed.set(key, { key, kind, commandId: row.id, effects: 0, mustNotAct: false });
  }

  /** The agent dials. The network breaks when it has carried as many messages as `cut` says. */
  async connect(cut?: Cut): Promise<void> {
    const agent = this.#agent;
    if (agent === undefined || this.#pair !== undefined) return;
    const faults = cut === undefined ? {} : { [cut.direction]: { cutAfter: cut.after } };
    const pair = socketPair({ clock: agent.clock, ...faults });
    const { journalId, lastEventSeq } = agent.journal;
    const stored = await this.#control.accept(this.#agentId, pair.a, { journalId, lastEventSeq });
    if (stored > lastEventSeq) {
      // As the agent does: its journal is an old copy, so it goes on under a new id.
      agent.rotateJournal();
      pair.cut();
      return this.connect(cut);
    }
    this.#pair = pair;
    void agent.serve(pair.b).then(() => {
      if (this.#pair === pair) this.#pair = undefined;
    });
  }

  /** The network breaks. */
  async cut(): Promise<void> {
    this.#pair?.cut();
    this.#pair = undefined;
    await settle();
  }

  /** What the agent has run for longest comes to its end. */
  async finish(): Promise<void> {
    this.#agent?.finishOldest();
    await settle();
  }

  /** Cancels the command of that number; -1 is the last. */
  async cancel(which: number): Promise<void> {
    const followed = [...this.#followed.values()].at(which);
    if (followed === undefined) return;
    const isAway = this.#pair === undefined && followed.effects === 0;
    const row = await this.#control.parts.commands.cancel(followed.commandId);
    if (isAway || (row.state === 'cancelled' && row.delivered_at === null)) followed.mustNotAct = true;
  }

  /** The agent's process is gone, with all that it had in memory. */
  async killAgent(): Promise<void> {
    if (this.#agent === undefined) return;
    this.#kills += 1;
    await this.cut();
    this.#agent[Symbol.dispose]();
    this.#agent = undefined;
  }

  async startAgent(): Promise<void> {
    if (this.#agent !== undefined) return;
    this.#agent = new AgentProcess(this.#dir.join('journal.db'), (key) => {
      const followed = this.#followed.get(key);
      if (followed === undefined) throw new Error(`nobody asked for ${key}`);
      followed.effects += 1;
      return this.#finishesAtOnce ? 'ends' : 'goes on';
    });
  }

  async restartControlPlane(): Promise<void> {
    await this.cut();
    await this.#control.restart();
  }

  /** The agent dies, and its journal with it. */
  async loseJournal(): Promise<void> {
    await this.killAgent();
    await rm(this.#dir.join('journal.db'), { force: true });
    await this.startAgent();
  }

  /** The agent dies, and somebody makes a copy of its journal. */
  async copyJournal(): Promise<void> {
    if (this.#agent === undefined) return;
    const { journalId, lastEventSeq } = this.#agent.journal;
    await this.killAgent();
    await copyFile(this.#dir.join('journal.db'), this.#dir.join('copy.db'));
    this.#copy = { journalId, lastEventSeq };
    await this.startAgent();
  }

  /** The agent dies and comes back with that copy: an old one, as far as the control plane can know it. */
  async restoreOldJournal(): Promise<void> {
    const copy = this.#copy;
    if (copy === undefined || (await this.#storedSeq(copy.journalId)) <= copy.lastEventSeq) return;
    await this.killAgent();
    await rm(this.#dir.join('journal.db'), { force: true });
    await copyFile(this.#dir.join('copy.db'), this.#dir.join('journal.db'));
    await this.startAgent();
  }

  /** Time passes on both sides. */
  async pass(seconds: number): Promise<void> {
    await this.#control.clock.advance(seconds * 1000);
    await this.#agent?.clock.advance(seconds * 1000);
    await this.#control.parts.reaper.sweep();
  }

  /** Lets the two sides, and the network between them, do that much. */
  async turns(count: number): Promise<void> {
    for (let turn = 0; turn < count; turn += 1) await settle();
  }

  /** Everything works again: both are connected, and what is run comes to its end. */
  async bringToAnEnd(): Promise<void> {
    this.#finishesAtOnce = true;
    await this.startAgent();
    await this.cut();
    await this.connect();
    await eventually(
      async () => {
        while ((this.#agent?.running ?? 0) > 0) await this.finish();
        return this.#states();
      },
      {
        what: 'every command to come to its end, and its outcome to be acknowledged',
        until: (states) =>
          states.every(({ state }) => FINAL.includes(state)) && this.#agent?.journal.unacknowledged().length === 0,
      },
    );
  }

  async reconnectOnceMore(): Promise<void> {
    const before = await this.#states();
    await this.cut();
    await this.connect();
    await this.turns(20);
    expect(await this.#states()).toEqual(before);
  }

  /** How often each command acted. */
  effects(): Record<string, number> {
    return Object.fromEntries([...this.#followed.values()].map(({ key, effects }) => [key, effects]));
  }

  expectAtMostOnce(): void {
    for (const { kind, key, effects, mustNotAct } of this.#followed.values()) {
      const allowed = kind === 'once' ? 1 : 1 + this.#kills;
      if (effects > allowed) throw new Error(`${kind} command ${key} acted ${effects} times`);
      if (mustNotAct && effects > 0) throw new Error(`${kind} command ${key} acted after it was cancelled`);
    }
  }

  /** A success acted; what ended without ever having been sent did not. */
  async expectTrueOutcomes(): Promise<void> {
    for (const { key, state, deliveredAt } of await this.#states()) {
      const { effects = 0 } = this.#followed.get(key) ?? {};
      if (state === 'succeeded') expect({ key, state, effects }).not.toMatchObject({ effects: 0 });
      if (deliveredAt === null) expect({ key, state, effects }).toMatchObject({ effects: 0 });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.killAgent();
    await this.#control[Symbol.asyncDispose]();
    await this.#dir[Symbol.asyncDispose]();
  }

  async #states() {
    const { commands } = this.#control.parts;
    const followed = [...this.#followed.values()];
    const rows = await Promise.all(followed.map(({ commandId }) => commands.get(commandId)));
    return rows.map((row, index) => ({
      key: followed[index]?.key ?? '',
      state: row.state,
      endedAt: row.ended_at,
      deliveredAt: row.delivered_at,
    }));
  }

  async #storedSeq(journalId: string): Promise<number> {
    const row = await this.#control.parts.db
      .selectFrom('agent_journals')
      .select('last_event_seq')
      .where('journal_id', '=', journalId)
      .executeTakeFirst();
    return row?.last_event_seq ?? 0;
  }
}

/** A command of each kind that carries `key`. Reads are given up after 30 s. */
function wanted(kind: Kind, key: string) {
  switch (kind) {
    case 'once':
      return {
        operation: 'task.start',
        params: { task_id: key, provider: 'shell', instructions: 'true', timeout_seconds: 60 },
        hasDeadline: false,
      } as const;
    case 'read':
      return { operation: 'agent.ping', params: { echo: key }, timeoutSeconds: 30 } as const;
    case 'idempotent':
      return { operation: 'tunnel.close', params: { tunnel_id: key, reason: 'test' } } as const;
  }
}
