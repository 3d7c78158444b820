import { traceIdOf } from '@drawbridge/protocol';
import type { Logger } from '@drawbridge/runtime';
import type { CommandRow } from '../store/commands-repository.ts';
import type { CommandTraces } from './command-traces.ts';
import type { Follower } from './followers.ts';
import { currentRequest } from './request-context.ts';

/** A line for each step of a command, by the ids that the agent's lines about it carry too. */
export class CommandLog implements Follower<CommandRow> {
  readonly #log: Logger;
  readonly #traces: Pick<CommandTraces, 'traceparentOf'>;

  /** Let it follow before the traces do, which forget a command at its end. */
  constructor(log: Logger, traces: Pick<CommandTraces, 'traceparentOf'>) {
    this.#log = log;
    this.#traces = traces;
  }

  stored(row: CommandRow): void {
    const { requestId, traceparent } = currentRequest() ?? {};
    this.#log.debug({ ...idsOf(row), requestId, traceId: traceIdOf(traceparent) }, 'command stored');
  }

  moved(row: CommandRow): void {
    const error = row.error_code === null ? {} : { code: row.error_code };
    const traceId = traceIdOf(this.#traces.traceparentOf(row.id));
    this.#log.debug({ ...idsOf(row), state: row.state, ...error, traceId }, 'command moved');
  }
}

function idsOf({ id: commandId, agent_id: agentId, operation }: CommandRow) {
  return { commandId, agentId, operation };
}
