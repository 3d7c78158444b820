import { ControlError } from '@drawbridge/protocol';
import { type CompiledQuery, type DatabaseConnection, type Driver, type QueryResult, SelectQueryNode } from 'kysely';
import { bindAll } from '../bind.ts';
import type { SqlValue } from '../bind.ts';
import type { SqliteClient } from './client.ts';
import type { Statement, StatementResult } from './messages.ts';
import { InteractiveTransaction, type TransactionOptions } from './transaction.ts';

/** Kysely's driver: a connection is only a place to remember the open transaction; the worker orders the work. */
export class SqliteWorkerDriver implements Driver {
  readonly #options: TransactionOptions;

  constructor(options: TransactionOptions) {
    this.#options = options;
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<SqliteConnection> {
    return new SqliteConnection(this.#options.client);
  }

  async beginTransaction(connection: SqliteConnection): Promise<void> {
    connection.transaction = new InteractiveTransaction(this.#options);
  }

  async commitTransaction(connection: SqliteConnection): Promise<void> {
    await connection.transaction?.commit();
  }

  async rollbackTransaction(connection: SqliteConnection): Promise<void> {
    await connection.transaction?.rollback();
  }

  async releaseConnection(): Promise<void> {}

  /** The store belongs to whoever opened it, and is closed there. */
  async destroy(): Promise<void> {}
}

/** One caller's view of the store. */
export class SqliteConnection implements DatabaseConnection {
  /** Set by the driver from begin on; Kysely uses a connection for one transaction at most. */
  transaction: InteractiveTransaction | undefined;
  readonly #client: SqliteClient;

  constructor(client: SqliteClient) {
    this.#client = client;
  }

  async executeQuery<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
    const statement = { sql: query.sql, parameters: bindAll(query.parameters), reads: SelectQueryNode.is(query.query) };
    return toQueryResult<Row>(await this.#run(statement));
  }

  // oxlint-disable-next-line require-yield -- Kysely asks for a generator, and this one only refuses
  async *streamQuery(): AsyncIterableIterator<never> {
    throw new ControlError('unsupported', 'the SQLite store does not stream: page with limit and a key');
  }

  #run(statement: Statement): Promise<StatementResult> {
    if (this.transaction !== undefined) return this.transaction.run(statement);
    this.#client.admit();
    return this.#client.ask({ type: 'lone', statement });
  }
}

function toQueryResult<Row>({ rows, columns = [], changes, lastRowId }: StatementResult): QueryResult<Row> {
  return {
    // The compiler of queries knows the row's type; SQLite and the worker cannot.
    rows: rows.map((values) => toRecord(columns, values)) as readonly unknown[] as Row[],
    ...(changes !== undefined && { numAffectedRows: BigInt(changes) }),
    ...(lastRowId !== undefined && { insertId: BigInt(lastRowId) }),
  };
}

/** A loop, because this runs for every row there is: `Object.fromEntries` takes four times as long. */
function toRecord(columns: readonly string[], values: readonly SqlValue[]): Record<string, SqlValue> {
  const record: Record<string, SqlValue> = {};
  for (const [index, column] of columns.entries()) record[column] = values[index] ?? null;
  return record;
}
