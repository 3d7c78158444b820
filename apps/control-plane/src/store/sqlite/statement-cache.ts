import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { SqlValue } from '../bind.ts';
import type { Statement, StatementResult } from './messages.ts';
import { assertContained } from './statement-guard.ts';

interface Prepared {
  readonly statement: StatementSync;
  /** None for a statement that returns no rows. */
  readonly columns: readonly string[];
}

/** After it, what is prepared may return other columns than it did. */
const CHANGES_SCHEMA = /^\s*(?:create|alter|drop)\b/i;

/** Runs statements, and keeps the most recently used ones prepared. */
export class StatementCache {
  readonly #database: DatabaseSync;
  readonly #capacity: number;
  /** Least recently used first. */
  readonly #prepared = new Map<string, Prepared>();

  constructor(database: DatabaseSync, capacity: number) {
    this.#database = database;
    this.#capacity = capacity;
  }

  /** How many statements are kept prepared. */
  get size(): number {
    return this.#prepared.size;
  }

  /** Runs `statement` to its end. Throws what SQLite throws. */
  run({ sql, parameters }: Statement): StatementResult {
    const { statement, columns } = this.#prepare(sql);
    if (columns.length > 0) return { rows: rowsOf(statement, parameters), columns };
    const { changes, lastInsertRowid } = statement.run(...parameters);
    if (CHANGES_SCHEMA.test(sql)) this.#prepared.clear();
    return { rows: [], changes, lastRowId: lastInsertRowid };
  }

  #prepare(sql: string): Prepared {
    const prepared = this.#prepared.get(sql) ?? this.#prepareNew(sql);
    this.#prepared.delete(sql);
    this.#prepared.set(sql, prepared);
    if (this.#prepared.size > this.#capacity) {
      for (const oldest of this.#prepared.keys()) {
        this.#prepared.delete(oldest);
        break;
      }
    }
    return prepared;
  }

  #prepareNew(sql: string): Prepared {
    assertContained(sql);
    const statement = this.#database.prepare(sql);
    statement.setReturnArrays(true);
    return { statement, columns: statement.columns().map(({ name }) => name) };
  }
}

/** Node's types do not know of `setReturnArrays`. */
function rowsOf(statement: StatementSync, parameters: readonly SqlValue[]): StatementResult['rows'] {
  const rows: readonly unknown[] = statement.all(...parameters);
  return rows as StatementResult['rows'];
}
