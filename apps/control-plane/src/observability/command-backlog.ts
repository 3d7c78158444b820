import { withTimeout } from '@drawbridge/link';
import type { Clock } from '@drawbridge/link';
import { Gauge } from 'prom-client';
import type { Db } from '../store/store.ts';
import type { Metrics } from './metrics.ts';

/** The numbers are shown without this one when the store takes longer: just then the others are wanted. */
const TIMEOUT_MS = 1_000;
const STATES = ['queued', 'delivered', 'running'] as const;

/** How many commands have no outcome yet, by their state: asked of the store, by an index, when somebody asks for the numbers. */
export function commandBacklog(metrics: Metrics, db: Db, clock: Clock): void {
  const gauge: Gauge<'state'> = new Gauge({
    name: 'drawbridge_commands_unfinished',
    help: 'Commands without an outcome, by state; missing while the store does not answer.',
    labelNames: ['state'],
    registers: [metrics.registry],
    async collect() {
      gauge.reset();
      const late = () => new Error('the store does not answer');
      const counts = await withTimeout(clock, TIMEOUT_MS, countsOf(db), late).catch(() => undefined);
      if (counts === undefined) return;
      for (const state of STATES) gauge.set({ state }, counts.get(state) ?? 0);
    },
  });
}

async function countsOf(db: Db): Promise<ReadonlyMap<string, number>> {
  const rows = await db
    .selectFrom('commands')
    .select(({ fn }) => ['state', fn.countAll<number>().as('count')])
    .where('state', 'in', STATES)
    .groupBy('state')
    .execute();
  return new Map(rows.map(({ state, count }) => [state, count]));
}
