import type { CommandRow } from '../store/commands-repository.ts';
import type { Follower } from './followers.ts';
import { currentRequest } from './request-context.ts';
import type { OpenSpan, SpanMaker } from './spans.ts';

/** Commands under way whose trace is remembered; with more, that of the oldest is given up. */
const COMMANDS_MAX = 10_000;

interface Traced {
  readonly traceparent: string;
  readonly span: OpenSpan | undefined;
}

/** What happened between two of a command's times. */
const STAGES = [
  ['command queued', 'created_at', 'delivered_at'],
  ['command delivery', 'delivered_at', 'started_at'],
  ['command execution', 'started_at', 'ended_at'],
] as const;

/**
 * The traces of commands under way, in memory: those of a control plane that stopped end with it. Without a span maker the
 * trace of whoever called the API is carried on to the agent all the same.
 */
export class CommandTraces implements Follower<CommandRow> {
  readonly #spans: SpanMaker | undefined;
  readonly #traced = new Map<string, Traced>();

  constructor(spans: SpanMaker | undefined) {
    this.#spans = spans;
  }

  /** What the agent is told with the command. */
  traceparentOf(commandId: string): string | undefined {
    return this.#traced.get(commandId)?.traceparent;
  }

  stored(row: CommandRow): void {
    const parent = currentRequest()?.traceparent;
    const span = this.#spans?.start({
      name: `command ${row.operation}`,
      kind: 'internal',
      startMs: Date.parse(row.created_at),
      parent,
      facts: factsOf(row),
    });
    const traceparent = span?.traceparent ?? parent;
    if (traceparent === undefined) return;
    this.#traced.set(row.id, { traceparent, span });
    const oldest = this.#traced.keys().next();
    if (this.#traced.size > COMMANDS_MAX && oldest.done !== true) this.#traced.delete(oldest.value);
  }

  /** At its end a command has all its times: then its stages become spans. */
  moved(row: CommandRow): void {
    if (row.ended_at === null) return;
    const span = this.#traced.get(row.id)?.span;
    this.#traced.delete(row.id);
    if (span === undefined) return;
    this.#endStages(row, span.traceparent);
    const facts = {
      'drawbridge.state': row.state,
      ...(row.error_code === null ? {} : { 'error.type': row.error_code }),
    };
    span.end(Date.parse(row.ended_at), { isFailure: row.state !== 'succeeded', facts });
  }

  #endStages(row: CommandRow, parent: string): void {
    for (const [name, from, to] of STAGES) {
      const start = row[from];
      // What ended before its next stage began ends in the stage it was in.
      const end = row[to] ?? row.ended_at;
      if (start === null || end === null) continue;
      const stage = { name, kind: 'internal', startMs: Date.parse(start), parent, facts: factsOf(row) } as const;
      this.#spans?.start(stage).end(Date.parse(end), { isFailure: false, facts: {} });
    }
  }
}

function factsOf(row: CommandRow) {
  return {
    'drawbridge.command_id': row.id,
    'drawbridge.agent_id': row.agent_id,
    'drawbridge.operation': row.operation,
  };
}
