import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Statement, StatementResult } from './messages.ts';
import { assertContained } from './statement-guard.ts';

interface Prepared {
  readonly statement: StatementSync;
  readonly returnsRows: boolean;
}

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
    const { statement, returnsRows } = this.#prepare(sql);
    if (returnsRows) return { rows: statement.all(...parameters) };
    const { changes, lastInsertRowid } = statement.run(...parameters);
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
    return { statement, returnsRows: statement.columns().length > 0 };
  }
}
