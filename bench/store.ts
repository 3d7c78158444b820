import { scaled } from '@drawbridge/testkit';
import { BenchDatabase, enginesHere, type Engine } from './load/bench-database.ts';
import { CommandStore, CONNECTIONS_MAX } from './load/command-store.ts';
import { ratePerSecond } from './measure/rate.ts';
import { rawPostgres, type RawInserts, type RawRow, rawSqlite } from './measure/raw-inserts.ts';
import { report } from './measure/report.ts';

const CALLERS = [1, 16, 256] as const;
const FOR_MS = 5_000;
/** Before anything is counted: statements are prepared and code is compiled after them. */
const WARM_UP_MS = 500;

const AGAINST = {
  sqlite: 'node:sqlite with synchronous=FULL, one insert a commit',
  postgres: `pg, plain inserts from as many callers over at most ${CONNECTIONS_MAX} connections, as the store has`,
} as const satisfies Record<Engine, string>;
const AGAINST_BATCHES = 'node:sqlite with synchronous=FULL, as many inserts a commit as there are callers';

/**
 * Commands per second that are durable, as many callers wait for theirs: the service with its rules over the real store. Beside
 * it the same rows inserted by a bare driver into the same tables, with the same durability.
 */
export async function store(): Promise<void> {
  for (const engine of enginesHere()) await measure(engine);
}

async function measure(engine: Engine): Promise<void> {
  await using ours = await BenchDatabase.make(engine);
  await using theirs = await BenchDatabase.make(engine);
  const row = await makeTables(theirs);
  await using commands = await CommandStore.open(ours);
  for (const callers of CALLERS) {
    const own = await rate(callers, () => commands.create());
    await using raw = await rawInserts(engine, theirs, row, callers);
    const one = engine === 'sqlite' ? await rate(1, () => raw.insert(1)) : await rate(callers, () => raw.insert(1));
    const figure = `commands_per_second_${engine}_${callers}`;
    const common = { bench: 'store', size: callers, value: own };
    report({ ...common, figure, reference: one, against: AGAINST[engine] });
    if (engine !== 'sqlite' || callers === 1) continue;
    const batched = (await rate(1, () => raw.insert(callers))) * callers;
    report({ ...common, figure: `${figure}_beside_batches`, reference: batched, against: AGAINST_BATCHES });
  }
}

/** The tables of a control plane in a database that it leaves alone after that, and a row for the table of commands. */
async function makeTables(database: BenchDatabase): Promise<RawRow> {
  await using commands = await CommandStore.open(database);
  return { ...(await commands.create()) };
}

async function rawInserts(engine: Engine, { url }: BenchDatabase, row: RawRow, callers: number): Promise<RawInserts> {
  if (engine === 'sqlite') return rawSqlite(url.slice('sqlite:'.length), 'commands', row);
  return rawPostgres(url, Math.min(callers, CONNECTIONS_MAX), 'commands', row);
}

async function rate(callers: number, work: () => Promise<unknown>): Promise<number> {
  await ratePerSecond(callers, scaled(WARM_UP_MS, 20), work);
  return ratePerSecond(callers, scaled(FOR_MS, 100), work);
}
