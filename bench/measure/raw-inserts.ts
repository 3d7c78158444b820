import { DatabaseSync } from 'node:sqlite';
import { systemClock } from '@drawbridge/link';
import { Pool } from 'pg';
import { uuidv7 } from '../../apps/control-plane/src/store/uuid.ts';

/** A row as a driver takes it. */
export type RawRow = Readonly<Record<string, string | number | null | Uint8Array>>;

/** Inserts of one table without anything of ours; `insert` resolves when `count` rows, each with an id of its own, are durable. */
export interface RawInserts extends AsyncDisposable {
  insert(count: number): Promise<void>;
}

/** Inserts into a file of SQLite that nobody else has open: all rows of one call are one commit, with an fsync. */
export function rawSqlite(file: string, table: string, row: RawRow): RawInserts {
  const database = new DatabaseSync(file, { enableForeignKeyConstraints: true });
  database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
  const { columns, values } = partsOf(row);
  const statement = database.prepare(
    `insert into ${table} (id, ${columns.join(', ')}) values (?, ${columns.map(() => '?').join(', ')})`,
  );
  return {
    async insert(count) {
      database.exec('BEGIN');
      for (let index = 0; index < count; index += 1) statement.run(newId(), ...values);
      database.exec('COMMIT');
    },
    async [Symbol.asyncDispose]() {
      database.close();
    },
  };
}

/** Inserts over connections of PostgreSQL: every row is a commit, and as many are under way as there are connections. */
export async function rawPostgres(
  url: string,
  connectionsMax: number,
  table: string,
  row: RawRow,
): Promise<RawInserts> {
  const pool = new Pool({ connectionString: url, max: connectionsMax });
  const { columns, values } = partsOf(row);
  const places = columns.map((_, index) => `$${index + 2}`);
  const query = {
    // Prepared once for each connection, as a careful program does.
    name: 'insert',
    text: `insert into ${table} (id, ${columns.join(', ')}) values ($1, ${places.join(', ')})`,
  };
  return {
    async insert(count) {
      const rows = Array.from({ length: count }, () => pool.query({ ...query, values: [newId(), ...values] }));
      await Promise.all(rows);
    },
    [Symbol.asyncDispose]: () => pool.end(),
  };
}

function partsOf({ id: _id, ...rest }: RawRow) {
  return { columns: Object.keys(rest), values: Object.values(rest) };
}

/** As ours are: the index grows at its end. */
function newId(): string {
  return uuidv7(systemClock.now());
}
