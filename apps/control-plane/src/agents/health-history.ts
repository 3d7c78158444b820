import type { Clock } from '@drawbridge/link';
import { LIMITS } from '@drawbridge/protocol';
import type { HeartbeatPayload } from '@drawbridge/protocol';
import type { HealthSample } from '@drawbridge/protocol/api';
import type { Logger } from '@drawbridge/runtime';
import { HealthRepository } from '../store/health-repository.ts';
import type { HealthQuery, HealthRow } from '../store/health-repository.ts';
import type { Db } from '../store/store.ts';
import { timestamp } from '../store/timestamp.ts';
import type { Presence } from './presence.ts';

/** Each agent is written down this often. */
const SAMPLE_MS = 5 * 60_000;
/** A part of the agents each time, so that 10 000 of them cost two statements every 15 s: 33 rows a second. */
const PARTS = 20;
const ROUND_MS = SAMPLE_MS / PARTS;
/** One statement deletes the rows of this much time, and one round this many times: far more than comes in. */
const SWEEP_STEP_MS = 60_000;
const SWEEP_STEPS_MAX = 30;
const HOUR_MS = 60 * 60_000;

export interface HealthHistoryOptions {
  readonly db: Db;
  readonly presence: Pick<Presence, 'links'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** 0: nothing is written down. */
  readonly retentionHours: number;
}

/** How agents fared over the last days: one sample for each of them every five minutes, written in batches. */
export class HealthHistory {
  readonly #options: HealthHistoryOptions;
  #round = 0;

  constructor(options: HealthHistoryOptions) {
    this.#options = options;
  }

  /** The oldest first. */
  async list(query: HealthQuery): Promise<HealthSample[]> {
    const rows = await new HealthRepository(this.#options.db).list(query);
    return rows.map(({ agent_id: _agentId, ...sample }) => sample);
  }

  /** Writes down the agents whose turn it is, and deletes what is too old. What fails is left out. */
  async sample(): Promise<void> {
    const { db, presence, clock, log, retentionHours } = this.#options;
    this.#round += 1;
    const part = this.#round % PARTS;
    const at = timestamp(clock);
    const rows: HealthRow[] = [];
    if (retentionHours > 0) {
      for (const { agentId, health } of presence.links()) {
        if (health !== undefined && partOf(agentId) === part) rows.push(rowOf(agentId, at, health));
      }
    }
    try {
      for (let index = 0; index < rows.length; index += LIMITS.rowsPerStatementMax) {
        await new HealthRepository(db).insert(rows.slice(index, index + LIMITS.rowsPerStatementMax));
      }
      await this.#sweep();
    } catch (error) {
      log.warn({ err: error }, 'health of agents not written');
    }
  }

  /** Samples again and again until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#options.clock.sleep(ROUND_MS, signal).catch(() => undefined);
      if (!signal.aborted) await this.sample();
    }
  }

  /** Step by step: after a long pause there may be millions of rows, and the store has others to serve. */
  async #sweep(): Promise<void> {
    const { db, clock, retentionHours } = this.#options;
    const health = new HealthRepository(db);
    const cutoff = timestamp(clock, -retentionHours * HOUR_MS);
    for (let step = 0; step < SWEEP_STEPS_MAX; step += 1) {
      const oldest = await health.oldest();
      if (oldest === undefined || oldest >= cutoff) return;
      const stepEnd = new Date(Date.parse(oldest) + SWEEP_STEP_MS).toISOString();
      await health.deleteBefore(stepEnd < cutoff ? stepEnd : cutoff);
    }
  }
}

/** Which part of the agents this one is in: always the same, and all parts are about as big. */
function partOf(agentId: string): number {
  let sum = 0;
  for (const character of agentId) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 65_521;
  return sum % PARTS;
}

function rowOf(agentId: string, at: string, health: HeartbeatPayload): HealthRow {
  return {
    agent_id: agentId,
    at,
    cpu: health.cpu ?? null,
    load: health.load?.[0] ?? null,
    memory_total_bytes: health.memory?.total_bytes ?? null,
    memory_available_bytes: health.memory?.available_bytes ?? null,
    received_bytes_per_second: health.bandwidth?.received_bytes_per_second ?? null,
    sent_bytes_per_second: health.bandwidth?.sent_bytes_per_second ?? null,
    rtt_ms: health.rtt_ms ?? null,
    tasks_running: health.tasks_running ?? null,
  };
}
