import type { Kysely } from 'kysely';
import type { Clock } from '@drawbridge/link';
import { ControlError, OPERATIONS, effectOf } from '@drawbridge/protocol';
import type { OperationName, Outcome } from '@drawbridge/protocol';
import type { Logger } from '@drawbridge/runtime';
import type { LiveLink, Presence } from '../agents/presence.ts';
import type { Bus } from '../bus/bus.ts';
import { waitUntil } from '../bus/wait-until.ts';
import { Followers } from '../observability/followers.ts';
import type { Follower } from '../observability/followers.ts';
import { actorText } from '../operators/actor.ts';
import type { Actor } from '../operators/actor.ts';
import type { TokenBuckets } from '../limits/token-buckets.ts';
import { CommandsRepository } from '../store/commands-repository.ts';
import type { CommandRow, Move } from '../store/commands-repository.ts';
import { lockAgent } from '../store/lock-agent.ts';
import type { Schema } from '../store/schema.ts';
import type { SecretBox } from '../store/secret-box.ts';
import type { Db } from '../store/store.ts';
import { timestamp } from '../store/timestamp.ts';
import { uuidv7 } from '../store/uuid.ts';
import { UNFINISHED_STATES, isFinal, statesBefore } from './command-state.ts';
import type { CommandState } from './command-state.ts';
import { finished } from './finish.ts';

/** What somebody wants an agent to do. */
export interface NewCommand {
  readonly agentId: string;
  readonly operation: OperationName;
  readonly params: Readonly<Record<string, unknown>>;
  readonly timeoutSeconds: number;
  /** False: an agent that is offline refuses at once, with `agent_offline`. */
  readonly queueIfOffline: boolean;
  readonly ttlSeconds: number;
  /** False when the agent alone keeps the time, as it does for tasks. */
  readonly hasDeadline: boolean;
}

/**
 * Told, inside the transaction, of every change of a command; whatever it writes holds or falls with the change. What it
 * hands to `afterCommit` is called once the change is stored for all to see.
 */
export type CommandObserver = (
  db: Db,
  command: CommandRow,
  outcome: Outcome | undefined,
  afterCommit: (tell: () => void) => void,
) => Promise<void>;

export interface CommandServiceOptions {
  readonly db: Kysely<Schema>;
  readonly presence: Presence;
  readonly box: SecretBox;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly log: Logger;
  readonly rateLimit: TokenBuckets;
  readonly commandsPerAgentMax: number;
}

/**
 * Commands: stored before they are sent, moved only along `command-state.ts`, at most once in effect (PROTOCOL.md §2.4).
 * Getting them to the agent is `Delivery`'s part; it is woken by `onPending`.
 */
export class CommandService {
  readonly #options: CommandServiceOptions;
  readonly #observers = new Map<string, CommandObserver>();
  readonly #followers = new Followers<CommandRow>();
  #onPending: (agentId: string) => void = () => undefined;

  constructor(options: CommandServiceOptions) {
    this.#options = options;
  }

  /** Registers the noun that follows the commands of `operation`. */
  observe(operation: OperationName, observer: CommandObserver): void {
    this.#observers.set(operation, observer);
  }

  /** Registers who is told, after the commit, of every command that was stored or moved. */
  follow(follower: Follower<CommandRow>): void {
    this.#followers.add(follower);
  }

  /** Registers who delivers. */
  onPending(deliver: (agentId: string) => void): void {
    this.#onPending = deliver;
  }

  /**
   * Stores a command, together with what `alongside` writes, and wakes up its delivery. Throws `agent_offline` when the
   * agent is away and nothing is queued, `queue_full` when too many wait.
   */
  async create(
    wanted: NewCommand,
    actor: Actor,
    alongside?: (db: Db, command: CommandRow) => Promise<void>,
  ): Promise<CommandRow> {
    const { db, presence, box, clock, rateLimit, commandsPerAgentMax } = this.#options;
    if (!wanted.queueIfOffline && presence.current(wanted.agentId) === undefined) throw offline(wanted.agentId);
    if (actor.kind !== 'system') rateLimit.take(wanted.agentId);
    const id = uuidv7(clock.now());
    const params = JSON.stringify(wanted.params);
    const hasContent = OPERATIONS[wanted.operation].content;
    const row: CommandRow = {
      id,
      agent_id: wanted.agentId,
      operation: wanted.operation,
      state: 'queued',
      params: hasContent ? null : params,
      content: hasContent ? box.seal(params, { table: 'commands', row: id, column: 'content' }) : null,
      journal_id: null,
      queue_if_offline: wanted.queueIfOffline ? 1 : 0,
      timeout_seconds: wanted.timeoutSeconds,
      created_by: actorText(actor),
      created_at: timestamp(clock),
      expires_at: timestamp(clock, (wanted.queueIfOffline ? wanted.ttlSeconds : wanted.timeoutSeconds) * 1000),
      deadline_at: wanted.hasDeadline ? timestamp(clock, wanted.timeoutSeconds * 1000) : null,
      delivered_at: null,
      started_at: null,
      ended_at: null,
      cancel_requested_at: null,
      result: null,
      error_code: null,
      error_message: null,
    };
    const stored = db.transaction().execute(async (trx) => {
      const commands = new CommandsRepository(trx);
      await lockAgent(trx, wanted.agentId);
      if ((await commands.countOfAgent(wanted.agentId, UNFINISHED_STATES)) >= commandsPerAgentMax) {
        throw new ControlError('queue_full', `agent ${wanted.agentId} has ${commandsPerAgentMax} unfinished commands`);
      }
      await commands.insert(row);
      await alongside?.(trx, row);
    });
    // Of a commit whose answer was lost nobody knows: the command may be there all the same, and must not lie around.
    await stored.catch((error: unknown) => {
      this.#onPending(wanted.agentId);
      throw error;
    });
    this.#followers.stored(row);
    await this.#refuseIfGone(wanted, id);
    this.#onPending(wanted.agentId);
    return row;
  }

  /** The agent went away while the command was written: what was not to be queued is refused after all. */
  async #refuseIfGone({ agentId, queueIfOffline }: NewCommand, id: string): Promise<void> {
    if (queueIfOffline || this.#options.presence.current(agentId) !== undefined) return;
    const { code, message } = offline(agentId);
    const refused = await this.end(id, ['queued'], { status: 'error', error: { code, message } });
    if (refused !== undefined) throw offline(agentId);
  }

  async get(id: string): Promise<CommandRow> {
    const row = await new CommandsRepository(this.#options.db).find(id);
    if (row === undefined) throw commandNotFound(id);
    return row;
  }

  /** The command once it has its outcome, or as it stands when `signal` aborts. */
  async wait(id: string, signal: AbortSignal): Promise<CommandRow> {
    try {
      return await waitUntil(
        this.#options,
        `command:${id}`,
        async () => {
          const row = await this.get(id);
          return isFinal(row.state) ? row : undefined;
        },
        signal,
      );
    } catch (error) {
      if (signal.aborted) return this.get(id);
      throw error;
    }
  }

  /** Cancels at once what the agent has never seen; otherwise asks the agent, whose outcome decides. */
  async cancel(id: string): Promise<CommandRow> {
    const { db, clock } = this.#options;
    const now = timestamp(clock);
    const atOnce = await this.move(
      { id, from: ['queued'], set: finished({ status: 'cancelled' }, now) },
      { status: 'cancelled' },
    );
    if (atOnce !== undefined) return atOnce;
    const asked = await new CommandsRepository(db).requestCancel(id, UNFINISHED_STATES, now);
    if (asked === undefined) return this.get(id);
    this.#options.presence.current(asked.agent_id)?.send('cancel', { command_id: id });
    return asked;
  }

  /** The agent has journalled the command and acts: its content is not needed here any more. */
  async started(link: LiveLink, id: string): Promise<void> {
    const set = { state: 'running', started_at: timestamp(this.#options.clock), content: null } as const;
    await this.move({ id, from: ['delivered'], set, fence: link }, undefined);
  }

  /** Stores an outcome for good. One that comes late, or twice, changes nothing; the first one stands. */
  async ended(link: LiveLink, id: string, outcome: Outcome): Promise<void> {
    const set = finished(outcome, timestamp(this.#options.clock));
    const row = await this.move({ id, from: statesBefore(set.state), set, fence: link }, outcome);
    if (row === undefined) this.#options.log.debug({ commandId: id, agentId: link.agentId }, 'outcome came late');
  }

  /** Ends a command from this side: expired, given up, or lost with its agent. */
  async end(id: string, from: readonly CommandState[], outcome: Outcome | 'expired'): Promise<CommandRow | undefined> {
    const now = timestamp(this.#options.clock);
    if (outcome !== 'expired') return this.move({ id, from, set: finished(outcome, now) }, outcome);
    const set = { state: 'expired', ended_at: now, content: null, deadline_at: null } as const;
    return this.move({ id, from, set }, undefined);
  }

  /** Moves a command and tells its observer, in one transaction; undefined when it was not in one of those states. */
  async move(move: Move, outcome: Outcome | undefined): Promise<CommandRow | undefined> {
    const toTell: (() => void)[] = [];
    const row = await this.#options.db.transaction().execute(async (trx) => {
      const moved = await new CommandsRepository(trx).move(move);
      const observer = moved === undefined ? undefined : this.#observers.get(moved.operation);
      if (moved !== undefined) await observer?.(trx, moved, outcome, (tell) => toTell.push(tell));
      return moved;
    });
    if (row === undefined) return undefined;
    for (const tell of toTell) tell();
    this.#followers.moved(row);
    this.#options.bus.publish(`command:${row.id}`);
    return row;
  }

  /** The parameters to send, or undefined when the agent has acknowledged them and only its outcome is asked for. */
  paramsOf(row: CommandRow): unknown {
    if (row.params !== null) return JSON.parse(row.params);
    if (row.content === null) return undefined;
    const plain = this.#options.box.open(row.content, { table: 'commands', row: row.id, column: 'content' });
    return JSON.parse(Buffer.from(plain).toString('utf8'));
  }
}

/** The same answer for a command that is not there and one that may not be seen. */
export function commandNotFound(id: string): ControlError {
  return new ControlError('command_not_found', `no command ${id}`);
}

function offline(agentId: string): ControlError {
  return new ControlError('agent_offline', `agent ${agentId} is offline`);
}

/** True when running it a second time would do no harm. */
export function mayRunAgain(row: CommandRow): boolean {
  return effectOf(row.operation) !== 'once';
}
