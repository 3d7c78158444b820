import type { ChannelOffer } from '@drawbridge/link';
import { CloseReason } from '@drawbridge/protocol';
import { eventually } from '@drawbridge/testkit';
import { resourceOfAgent } from '../agents/agent-resource.ts';
import { AgentService } from '../agents/agent-service.ts';
import { ADMIN } from '../control-plane-fixture.ts';
import type { ControlPlaneFixture, RecordedLink } from '../control-plane-fixture.ts';
import type { Actor } from '../operators/actor.ts';
import { authorise } from '../operators/authorise.ts';
import { PeopleFixture } from '../operators/people-fixture.ts';
import type { TaskRow } from '../store/tasks-repository.ts';
import type { SystemTunnels } from '../tunnels/system-tunnels.ts';
import { TunnelsFixture, askedBy } from '../tunnels/tunnels-fixture.ts';
import type { Leg } from '../tunnels/tunnels-fixture.ts';
import { ServedOutput } from './served-output-fixture.ts';
import { taskNotFound } from './task-service.ts';
import { TaskOutput } from './task-output.ts';
import type { OutputRequest, OutputStream } from './task-output.ts';

/** For tests: what somebody who reads has got so far. */
interface Reader {
  readonly bytes: () => Uint8Array;
  readonly isOver: () => boolean;
  /** Waits for that many bytes, while time passes. */
  readonly has: (count: number) => Promise<void>;
  /** All of it once it has ended; rejects with what it ended with. Time passes meanwhile. */
  readonly whole: () => Promise<Uint8Array>;
}

type Wanted = Partial<Omit<OutputRequest, 'taskId'>> & { readonly signal?: AbortSignal };

/** How much of the clock passes at each look. */
const STEP_MS = 250;

/** For tests: tasks whose output a test serves in place of an agent, over tunnels that break. Disposing leaves nothing. */
export class OutputFixture implements AsyncDisposable {
  readonly output: TaskOutput;
  readonly control: ControlPlaneFixture;
  readonly tunnels: SystemTunnels;
  readonly agent: ServedOutput;
  readonly #world: TunnelsFixture;
  readonly #people: PeopleFixture;
  readonly #agents: AgentService;
  readonly #agentId: string;
  readonly #over = new AbortController();
  readonly #watching: Promise<void>;
  #link: RecordedLink | undefined;
  #events = 0;

  private constructor(people: PeopleFixture, world: TunnelsFixture, agentId: string, file: Uint8Array) {
    const { control, tunnels } = world;
    const { db, tasks, presence, bus, reaper, publish, log } = control.parts;
    const { clock } = control;
    this.#people = people;
    this.#world = world;
    this.#agentId = agentId;
    this.agent = new ServedOutput(file);
    this.control = control;
    this.tunnels = tunnels;
    this.#agents = new AgentService({ db, presence, tunnels, reaper, publish, clock, log });
    this.output = new TaskOutput({ tasks, agents: this.#agents, tunnels, presence, bus, clock });
    this.#watching = people.access.run(this.#over.signal);
  }

  /** One agent with the label `env=dev`, on whose disk each file of each task is `file`. */
  static async make(file: Uint8Array): Promise<OutputFixture> {
    const people = await PeopleFixture.make();
    const world = await TunnelsFixture.make(people.control);
    const agentId = await people.control.addAgent('build-1');
    const fixture = new OutputFixture(people, world, agentId, file);
    await fixture.#agents.update(await fixture.#agents.find(agentId), { name: 'build-1', labels: { env: 'dev' } });
    return fixture;
  }

  /** The agent comes, and dials whenever it is told to. */
  async connect(): Promise<void> {
    this.#link = await this.control.connect(this.#agentId, {
      instance: 'one',
      send: (type, payload, id) => {
        const asked = askedBy(this.#agentId, { type, payload, id });
        if (asked === undefined) return;
        let leg: Leg | undefined;
        const accept = (offer: ChannelOffer) => this.agent.serve(offer, () => leg?.pair.cut());
        // A leg that the control plane wants no more is refused: the reader sees what comes of that.
        this.#world.dial(asked, accept).then(
          (dialled) => (leg = dialled),
          () => undefined,
        );
      },
    });
  }

  /** The agent is gone, and so is its tunnel. */
  async disconnect(): Promise<void> {
    if (this.#link !== undefined) await this.control.disconnect(this.#link);
    this.tunnels.close(this.#agentId, CloseReason.UnexpectedDisconnect, 'the agent is away');
  }

  revoke(): Promise<void> {
    return this.#agents.revoke(this.#agentId);
  }

  /** A task that waits for its agent. */
  create(): Promise<TaskRow> {
    const limits = { timeoutSeconds: 60, queueIfOffline: true, ttlSeconds: 86_400 };
    const unset = { mode: undefined, model: undefined, idempotencyKey: undefined };
    const task = { agentId: this.#agentId, provider: 'shell', instructions: 'true', ...limits, ...unset };
    return this.control.parts.tasks.create(task, ADMIN);
  }

  /** The agent, which is there, tells that the task runs. */
  async start(task: TaskRow): Promise<void> {
    const link = this.#present();
    await eventually(() => link.unacknowledged.has(task.command_id), { what: 'the task to be sent' });
    await this.control.parts.inbox.started(link, task.command_id);
    this.#events += 1;
    const data = { task_id: task.id, state: 'running', at: new Date(this.control.clock.now()).toISOString() };
    await this.control.parts.inbox.event(link, { seq: this.#events, kind: 'task.state', data });
  }

  async running(): Promise<TaskRow> {
    const task = await this.create();
    await this.start(task);
    return task;
  }

  /** The agent tells that the task has succeeded. */
  async end(task: TaskRow): Promise<void> {
    const at = new Date(this.control.clock.now()).toISOString();
    const sizes = { output_bytes: 0, output_sha256: 'a'.repeat(64), result_bytes: 0 };
    const data = { task_id: task.id, state: 'succeeded', exit_code: 0, started_at: at, ended_at: at, ...sizes };
    await this.control.parts.inbox.ended(this.#present(), task.command_id, { status: 'success', data });
  }

  open(task: TaskRow, { signal = this.#over.signal, ...wanted }: Wanted = {}): Promise<OutputStream> {
    const request = { taskId: task.id, file: 'output', since: 0, follow: true, actor: ADMIN, ...wanted } as const;
    return this.output.open(request, signal);
  }

  /** Reads as fast as it comes. */
  follow(task: TaskRow, wanted: Wanted = {}): Reader {
    const chunks: Uint8Array[] = [];
    let isOver = false;
    const read = async () => {
      const { bytes } = await this.open(task, wanted);
      for await (const chunk of bytes) chunks.push(chunk);
    };
    const ended = read().finally(() => (isOver = true));
    ended.catch(() => undefined);
    const bytes = () => Uint8Array.from(Buffer.concat(chunks));
    const untilItIs = (what: string, isSo: () => boolean) => {
      const look = async () => {
        await this.control.clock.advance(STEP_MS);
        return isSo();
      };
      return eventually(look, { what });
    };
    return {
      bytes,
      isOver: () => isOver,
      has: async (count) => void (await untilItIs(`${count} bytes`, () => bytes().byteLength === count)),
      whole: async () => {
        await untilItIs('the end of the output', () => isOver);
        await ended;
        return bytes();
      },
    };
  }

  /** Somebody with that role on those agents. */
  async reader(role: string, selector: string) {
    const { actor, user, session } = await this.#people.person('ann', role, selector);
    const becomes = async (otherRole: string, other: string) => {
      await this.#people.users.update(user.id, { roles: [{ role: otherRole, selector: other }] }, ADMIN);
    };
    const sessionEnds = () => this.#people.sessions.end(session);
    return { actor, user: { becomes }, access: this.#people.access, sessionEnds };
  }

  /** The check that a route gives to AccessWatch. */
  mayStillRead(task: TaskRow): (actor: Actor) => Promise<void> {
    return async (actor) => {
      const agent = await this.#agents.findAny(this.#agentId);
      const resource = resourceOfAgent(agent, () => taskNotFound(task.id));
      authorise(actor, 'task.read', resource);
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort(new Error('the test is over'));
    await this.#watching;
    await this.#world[Symbol.asyncDispose]();
  }

  #present(): RecordedLink {
    if (this.#link === undefined) throw new Error('the agent is not there');
    return this.#link;
  }
}
