import { ControlError } from '@drawbridge/protocol';
import type { BackupRow } from '@drawbridge/protocol/api';
import type { AnyRow, BackupRepository } from '../store/backup-repository.ts';
import { LATER_COLUMNS } from '../store/backup-tables.ts';
import type { SqlValue } from '../store/bind.ts';
import { decodeRow } from './archive-rows.ts';
import { BACKUP_LIMITS } from './limits.ts';

/** A column that waits for the row it refers to. */
interface Later {
  readonly table: string;
  readonly key: string;
  readonly id: SqlValue;
  readonly column: string;
  readonly value: SqlValue;
}

/** Puts the rows of an archive into empty tables, some at a time. They come in the order of `BACKUP_TABLES`. */
export class RowWriter {
  readonly #repository: BackupRepository;
  readonly #columns = new Map<string, readonly string[]>();
  /** One for each agent that serves a Docker host, at most. */
  readonly #later: Later[] = [];
  #table = '';
  #rows: AnyRow[] = [];
  #characters = 0;

  constructor(repository: BackupRepository) {
    this.#repository = repository;
  }

  /** Throws `unsupported` for a table or a column that the schema has not, or that the row lacks. */
  async add({ table, row }: BackupRow): Promise<void> {
    if (table !== this.#table) await this.#flush();
    this.#table = table;
    assertFits(table, await this.#columnsOf(table), row);
    this.#rows.push(this.#withoutLater(table, decodeRow(row)));
    this.#characters += JSON.stringify(row).length;
    const { restoreRowsMax, restoreCharactersMax } = BACKUP_LIMITS;
    if (this.#rows.length >= restoreRowsMax || this.#characters >= restoreCharactersMax) await this.#flush();
  }

  /** Resolves when everything is in its table. */
  async end(): Promise<void> {
    await this.#flush();
    for (const { table, key, id, column, value } of this.#later) {
      await this.#repository.fillIn(table, key, id, column, value);
    }
  }

  #withoutLater(table: string, row: AnyRow): AnyRow {
    const { key = '', column = '' } = LATER_COLUMNS[table] ?? {};
    const value = row[column] ?? null;
    if (value === null) return row;
    this.#later.push({ table, key, id: row[key] ?? null, column, value });
    return { ...row, [column]: null };
  }

  async #flush(): Promise<void> {
    const rows = this.#rows.splice(0);
    this.#characters = 0;
    if (rows.length > 0) await this.#repository.insert(this.#table, await this.#columnsOf(this.#table), rows);
  }

  async #columnsOf(table: string): Promise<readonly string[]> {
    const known = this.#columns.get(table) ?? (await this.#repository.columns(table));
    this.#columns.set(table, known);
    return known;
  }
}

function assertFits(table: string, columns: readonly string[], row: BackupRow['row']): void {
  if (columns.length === 0)
    throw new ControlError('unsupported', `the backup has a table ${table}, which is unknown here`);
  const names = Object.keys(row);
  const strange = names.find((name) => !columns.includes(name)) ?? columns.find((name) => !names.includes(name));
  if (strange === undefined) return;
  throw new ControlError('unsupported', `the rows of ${table} in the backup have other columns than here: ${strange}`);
}
