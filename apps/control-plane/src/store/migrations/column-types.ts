import { type ColumnDataType, type Kysely, type RawBuilder, sql } from 'kysely';
import { engineOf } from '../engine.ts';

/** The type of a column that holds bytes. */
export function bytesType(db: Kysely<unknown>): ColumnDataType {
  return engineOf(db) === 'postgres' ? 'bytea' : 'blob';
}

/** The database's own time, as `Date.prototype.toISOString` prints it: for `defaultTo`. */
export function nowDefault(db: Kysely<unknown>): RawBuilder<string> {
  return engineOf(db) === 'postgres'
    ? sql`to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`
    : sql`(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))`;
}
