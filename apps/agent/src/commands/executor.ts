import {
  ControlError,
  LIMITS,
  OPERATIONS,
  effectOf,
  firstIssue,
  isOperationName,
  traceIdOf,
  utf8Bytes,
} from '@drawbridge/protocol';
import type { CommandPayload, OperationName, Outcome } from '@drawbridge/protocol';
import type { Clock } from '@drawbridge/link';
import type { Logger } from '@drawbridge/runtime';
import type { Journal, JournalEntry } from '../journal/journal.ts';
import { errorPayload } from '../link/agent-link.ts';
import type { AgentLink } from '../link/agent-link.ts';
import { Deadline } from './deadline.ts';

/** Carries an operation out. `params` have passed the operation's schema. Rejecting with ControlError is an answer too. */
export type OperationHandler = (params: unknown, signal: AbortSignal) => Promise<unknown>;

export interface ExecutorOptions {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly log: Logger;
  /** What this agent's own file allows; nothing remote can widen it. */
  readonly isAllowed: (operation: string) => boolean;
  readonly handlers: Readonly<Record<OperationName, OperationHandler>>;
}

/** An outcome that could not be written is tried again this often: until then nobody is told. */
const REWRITE_MS = 1_000;

const UNKNOWN = {
  status: 'indeterminate',
  error: { code: 'indeterminate', message: 'the agent stopped between the start of the command and its outcome' },
} as const satisfies Outcome;
const FORGOTTEN = {
  status: 'indeterminate',
  error: { code: 'indeterminate', message: "the agent's journal does not know this command, or no longer its outcome" },
} as const satisfies Outcome;

/**
 * Runs commands at most once: journalled before they act, their outcome journalled before it is told (PROTOCOL.md §2.4).
 *
 *   unknown --start--> started --end--> ended --ack--> forgotten but for its id
 *   unknown --cancel-> cancelled (never runs)
 */
export class Executor {
  readonly #options: ExecutorOptions;
  readonly #live = new Map<string, AbortController>();
  readonly #running = new Set<Promise<void>>();
  #link: AgentLink | undefined;
  #isDraining = false;

  constructor(options: ExecutorOptions) {
    this.#options = options;
    this.#settlePredecessor();
  }

  /** On a new link every outcome that is not acknowledged is told again. */
  linkUp(link: AgentLink): void {
    this.#link = link;
    for (const { commandId, outcome } of this.#options.journal.unacknowledged())
      link.send('command_response', outcome, commandId);
  }

  linkDown(): void {
    this.#link = undefined;
  }

  /** A `command` message: new, repeated, or (without params) a question for an outcome. */
  receive(commandId: string, command: CommandPayload): void {
    if (this.#live.has(commandId)) return this.#acknowledge(commandId);
    const entry = this.#options.journal.find(commandId);
    if (entry !== undefined && this.#isSettled(commandId, entry)) return;
    if (command.params === undefined) return this.#answer(commandId, command.operation, FORGOTTEN);
    if (this.#isDraining) return; // Not journalled: it is delivered again to our successor.
    this.#start(commandId, command);
  }

  /** A `cancel` message, even for a command that is not here yet. */
  cancel(commandId: string): void {
    const live = this.#live.get(commandId);
    if (live !== undefined) return live.abort(new ControlError('cancelled', 'cancelled'));
    try {
      this.#options.journal.cancel(commandId);
    } catch (error) {
      this.#options.log.error({ err: error, commandId }, 'cancel not journalled');
    }
  }

  /** The control plane has the outcome. */
  acknowledged(commandId: string): void {
    try {
      this.#options.journal.acknowledged(commandId);
    } catch (error) {
      this.#options.log.warn({ err: error, commandId }, 'ack not journalled: the outcome will be told once more');
    }
  }

  /** Takes nothing new; resolves when what runs has its outcome on disk. */
  async drain(): Promise<void> {
    this.#isDraining = true;
    await Promise.allSettled(this.#running);
  }

  /** What died with the last agent: unknown, unless it may simply run again when it is sent again. */
  #settlePredecessor(): void {
    const { journal, log } = this.#options;
    for (const { commandId, operation } of journal.unfinished()) {
      if (effectOf(operation) !== 'once') continue;
      log.warn({ commandId, operation }, 'command is indeterminate: the last agent stopped while it ran');
      journal.end(commandId, operation, UNKNOWN);
    }
  }

  /** True when the journal has the answer; a started command that may run again has none. */
  #isSettled(commandId: string, entry: JournalEntry): boolean {
    switch (entry.state) {
      case 'cancelled':
        this.#answer(commandId, '', { status: 'cancelled' });
        return true;
      case 'ended':
        this.#link?.send('command_response', entry.outcome ?? FORGOTTEN, commandId);
        return true;
      case 'started':
        return false;
    }
  }

  #start(commandId: string, command: CommandPayload): void {
    const { journal } = this.#options;
    let operation: OperationName;
    let params: unknown;
    try {
      ({ operation, params } = this.#admit(commandId, command));
      journal.start(commandId, operation);
    } catch (error) {
      this.#answer(commandId, command.operation, { status: 'error', error: errorPayload(error) });
      return;
    }
    this.#acknowledge(commandId);
    const facts = { commandId, operation, ...idsIn(params), traceId: traceIdOf(command.traceparent) };
    this.#note(facts, 'command started');
    const cancel = new AbortController();
    this.#live.set(commandId, cancel);
    const running = this.#run(commandId, operation, params, command.remaining_ms, cancel.signal)
      .then(({ status }) => this.#note({ ...facts, status }, 'command ended'))
      .catch((error: unknown) =>
        this.#options.log.error({ err: error, commandId }, 'command failed in an unexpected way'),
      )
      .finally(() => {
        this.#live.delete(commandId);
        this.#running.delete(running);
      });
    this.#running.add(running);
  }

  /** What acts once is somebody's life, and worth a line of its own; the rest is for whoever looks closely. */
  #note(facts: { readonly operation: OperationName; readonly status?: string }, what: string): void {
    if (effectOf(facts.operation) === 'once') this.#options.log.info(facts, what);
    else this.#options.log.debug(facts, what);
  }

  #admit(commandId: string, { operation, params }: CommandPayload): { operation: OperationName; params: unknown } {
    if (!isOperationName(operation)) {
      this.#options.log.warn({ commandId, operation: operation.slice(0, 64) }, 'Unknown action');
      throw new ControlError('unsupported', `this agent knows no operation ${operation.slice(0, 64)}`);
    }
    if (!this.#options.isAllowed(operation)) {
      this.#options.log.warn({ commandId, operation }, 'operation blocked by agent.yaml');
      throw new ControlError('operation_not_allowed', `the agent's own configuration does not allow ${operation}`);
    }
    const parsed = OPERATIONS[operation].params.safeParse(params);
    if (!parsed.success)
      throw new ControlError('invalid_request', `params of ${operation}: ${firstIssue(parsed.error)}`);
    return { operation, params: parsed.data };
  }

  async #run(
    commandId: string,
    operation: OperationName,
    params: unknown,
    remainingMs: number,
    cancel: AbortSignal,
  ): Promise<Outcome> {
    const { handlers, clock, log } = this.#options;
    // A task keeps its own time, and its outcome says so.
    using deadline = new Deadline(clock, operation === 'task.start' ? undefined : remainingMs, cancel);
    let outcome: Outcome;
    try {
      outcome = success(await handlers[operation](params, deadline.signal));
    } catch (error) {
      if (!(error instanceof ControlError)) log.error({ err: error, operation, commandId }, 'operation failed');
      outcome = outcomeOf(error, deadline.signal);
    }
    await this.#store(commandId, operation, outcome);
    this.#link?.send('command_response', outcome, commandId);
    return outcome;
  }

  /** The outcome is told once it is on disk: a full disk delays it, and loses nothing while this process lives. */
  async #store(commandId: string, operation: string, outcome: Outcome): Promise<void> {
    const { journal, clock, log } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      try {
        journal.end(commandId, operation, outcome);
        return;
      } catch (error) {
        if (attempt === 1) log.error({ err: error, commandId }, 'outcome not journalled: trying again');
        await clock.sleep(REWRITE_MS);
      }
    }
  }

  #acknowledge(commandId: string): void {
    this.#link?.send('ack', { command_id: commandId, state: 'started' });
  }

  /** Settles a command that did not run. When even that cannot be written it is told all the same: nothing happened. */
  #answer(commandId: string, operation: string, outcome: Outcome): void {
    try {
      this.#options.journal.end(commandId, operation, outcome);
    } catch (error) {
      this.#options.log.error({ err: error, commandId }, 'refusal not journalled');
    }
    this.#link?.send('command_response', outcome, commandId);
  }
}

/** The ids among an operation's parameters, by which other lines about the same thing are found. */
function idsIn(params: unknown): { readonly taskId?: unknown; readonly tunnelId?: unknown } {
  if (typeof params !== 'object' || params === null) return {};
  return {
    ...('task_id' in params && { taskId: params.task_id }),
    ...('tunnel_id' in params && { tunnelId: params.tunnel_id }),
  };
}

/** Without a result the answer is null; one that fits no message is not kept either, for it could never be told. */
function success(data: unknown): Outcome {
  const bytes = utf8Bytes(JSON.stringify(data ?? null));
  if (bytes <= LIMITS.resultBytesMax) return { status: 'success', data: data ?? null };
  throw new ControlError('result_too_large', `the result is ${bytes} bytes, more than ${LIMITS.resultBytesMax}`);
}

function outcomeOf(error: unknown, signal: AbortSignal): Outcome {
  const reason: unknown = signal.aborted ? signal.reason : error;
  if (reason instanceof ControlError && reason.code === 'cancelled') return { status: 'cancelled' };
  if (error instanceof ControlError && error.code === 'indeterminate') {
    return { status: 'indeterminate', error: errorPayload(error) };
  }
  return { status: 'error', error: errorPayload(reason) };
}
