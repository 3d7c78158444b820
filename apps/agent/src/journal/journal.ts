import { randomUUID } from 'node:crypto';
import { renameSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { ControlError, LIMITS, Outcome } from '@drawbridge/protocol';
import type { EventPayload, OperationName } from '@drawbridge/protocol';
import { SCHEMA } from './schema.ts';

/** What the journal knows of a command. `cancelled`: cancelled while it was not running, so that it never runs. */
export type JournalEntry =
  | { readonly state: 'cancelled' }
  | { readonly state: 'started'; readonly operation: string }
  | { readonly state: 'ended'; readonly outcome: Outcome | undefined };

/**
 * What this agent has promised, on disk before it is said (PROTOCOL.md §2.4): commands it started, their outcomes, its
 * events. Calls are synchronous on purpose: once one returns, its fact is durable. One process has it at a time.
 */
export class Journal implements Disposable {
  readonly #db: DatabaseSync;
  readonly #nowMs: () => number;
  #journalId: string;
  #lastEventSeq: number;

  private constructor(db: DatabaseSync, nowMs: () => number) {
    this.#db = db;
    this.#nowMs = nowMs;
    this.#journalId = this.#meta('journal_id') ?? this.#setMeta('journal_id', randomUUID());
    this.#lastEventSeq = Number(this.#meta('last_event_seq') ?? 0);
  }

  /**
   * Opens the journal, or makes one. A file that is no journal is put aside under another name, never deleted: the new one's
   * id tells the control plane. Throws ControlError `conflict` when another agent has it open.
   */
  static open(path: string, nowMs: () => number): Journal {
    try {
      return Journal.#open(path, nowMs);
    } catch (error) {
      if (isBusy(error)) throw new ControlError('conflict', `another agent runs on ${path}`, { cause: error });
      if (!isCorrupt(error))
        throw new ControlError('journal_unavailable', `${path}: ${messageOf(error)}`, { cause: error });
      renameSync(path, `${path}.corrupt-${nowMs()}`);
      return Journal.#open(path, nowMs);
    }
  }

  static #open(path: string, nowMs: () => number): Journal {
    const db = new DatabaseSync(path);
    try {
      db.exec(
        'PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 0',
      );
      requireIntact(db);
      db.exec(SCHEMA);
      return new Journal(db, nowMs);
    } catch (error) {
      db.close();
      throw error;
    }
  }

  get journalId(): string {
    return this.#journalId;
  }

  /** The number of the last event, 0 before the first. */
  get lastEventSeq(): number {
    return this.#lastEventSeq;
  }

  find(commandId: string): JournalEntry | undefined {
    const row = this.#db.prepare('SELECT state, operation, outcome FROM commands WHERE id = ?').get(commandId);
    if (row === undefined) return undefined;
    switch (row['state']) {
      case 'cancelled':
        return { state: 'cancelled' };
      case 'started':
        return { state: 'started', operation: String(row['operation']) };
      default:
        return { state: 'ended', outcome: row['outcome'] === null ? undefined : parseOutcome(row['outcome']) };
    }
  }

  /** The command is about to act. Throws ControlError `journal_unavailable` when that cannot be written: then it must not. */
  start(commandId: string, operation: OperationName): void {
    this.#write(
      "INSERT INTO commands (id, operation, state, at_ms) VALUES (?, ?, 'started', ?) " +
        "ON CONFLICT (id) DO UPDATE SET at_ms = excluded.at_ms WHERE state = 'started'",
      commandId,
      operation,
      this.#nowMs(),
    );
  }

  /** The outcome, kept until it is acknowledged. The first one stands. */
  end(commandId: string, operation: string, outcome: Outcome): void {
    this.#write(
      "INSERT INTO commands (id, operation, state, outcome, at_ms) VALUES (?, ?, 'ended', ?, ?) " +
        "ON CONFLICT (id) DO UPDATE SET state = 'ended', outcome = excluded.outcome, at_ms = excluded.at_ms WHERE state != 'ended'",
      commandId,
      operation,
      JSON.stringify(outcome),
      this.#nowMs(),
    );
  }

  /** A command that does not run now must never run, be it new or cut short by the end of the last agent. An outcome stands. */
  cancel(commandId: string): void {
    this.#write(
      "INSERT INTO commands (id, operation, state, at_ms) VALUES (?, '', 'cancelled', ?) " +
        "ON CONFLICT (id) DO UPDATE SET state = 'cancelled', at_ms = excluded.at_ms WHERE state = 'started'",
      commandId,
      this.#nowMs(),
    );
  }

  /** The control plane has the outcome: its content may go, the id stays for 30 days. */
  acknowledged(commandId: string): void {
    this.#writeSoon(
      "UPDATE commands SET outcome = NULL, at_ms = ? WHERE id = ? AND state = 'ended'",
      this.#nowMs(),
      commandId,
    );
  }

  /** Commands that were started and have no outcome: their process died with the last agent. */
  unfinished(): { commandId: string; operation: string }[] {
    const rows = this.#db.prepare("SELECT id, operation FROM commands WHERE state = 'started' ORDER BY rowid").all();
    return rows.map((row) => ({ commandId: String(row['id']), operation: String(row['operation']) }));
  }

  /** Outcomes that are not acknowledged, oldest first. */
  unacknowledged(): { commandId: string; outcome: Outcome }[] {
    const sql = "SELECT id, outcome FROM commands WHERE state = 'ended' AND outcome IS NOT NULL ORDER BY rowid";
    const rows = this.#db.prepare(sql).all();
    return rows.map((row) => ({ commandId: String(row['id']), outcome: parseOutcome(row['outcome']) }));
  }

  /** Numbers and keeps an event; undefined when too many wait already for their ack. */
  append(kind: string, data: Record<string, unknown>): EventPayload | undefined {
    const waiting = Number(this.#db.prepare('SELECT count(*) AS n FROM events').get()?.['n'] ?? 0);
    if (waiting >= LIMITS.eventsUnackedMax) return undefined;
    const seq = this.#lastEventSeq + 1;
    this.#transaction(() => {
      this.#db.prepare('INSERT INTO events (seq, kind, data) VALUES (?, ?, ?)').run(seq, kind, JSON.stringify(data));
      this.#setMeta('last_event_seq', String(seq));
    });
    this.#lastEventSeq = seq;
    return { seq, kind, data };
  }

  /** Events after `seq` that are not acknowledged, at most `limit`. */
  eventsAfter(seq: number, limit: number): EventPayload[] {
    const rows = this.#db
      .prepare('SELECT seq, kind, data FROM events WHERE seq > ? ORDER BY seq LIMIT ?')
      .all(seq, limit);
    return rows.map((row) => ({
      seq: Number(row['seq']),
      kind: String(row['kind']),
      data: JSON.parse(String(row['data'])) as Record<string, unknown>,
    }));
  }

  /** All events up to `seq` are stored at the control plane. */
  eventsAcknowledged(seq: number): void {
    this.#writeSoon('DELETE FROM events WHERE seq <= ?', seq);
  }

  /** This journal turned out to be an old copy: it gets a new id, and events nobody can place any more are dropped. */
  rotate(): { dropped: number } {
    let dropped = 0;
    const journalId = randomUUID();
    this.#transaction(() => {
      dropped = Number(this.#db.prepare('DELETE FROM events').run().changes);
      this.#setMeta('journal_id', journalId);
      this.#setMeta('last_event_seq', '0');
    });
    this.#journalId = journalId;
    this.#lastEventSeq = 0;
    return { dropped };
  }

  /** Forgets ids whose outcome was acknowledged, or that were cancelled, 30 days ago. */
  sweep(): void {
    this.#write(
      "DELETE FROM commands WHERE at_ms < ? AND (state = 'cancelled' OR (state = 'ended' AND outcome IS NULL))",
      this.#nowMs() - LIMITS.journalRetentionMs,
    );
  }

  /** Closing twice is fine. */
  [Symbol.dispose](): void {
    if (this.#db.isOpen) this.#db.close();
  }

  #write(sql: string, ...values: (string | number)[]): void {
    try {
      this.#db.prepare(sql).run(...values);
    } catch (error) {
      throw new ControlError('journal_unavailable', `the journal cannot be written: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  /** Durable with the next write that must be: lost in a crash, it only makes this agent tell once more what is known. */
  #writeSoon(sql: string, ...values: (string | number)[]): void {
    this.#db.exec('PRAGMA synchronous = NORMAL');
    try {
      this.#write(sql, ...values);
    } finally {
      this.#db.exec('PRAGMA synchronous = FULL');
    }
  }

  #transaction(work: () => void): void {
    try {
      this.#db.exec('BEGIN IMMEDIATE');
      work();
      this.#db.exec('COMMIT');
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw new ControlError('journal_unavailable', `the journal cannot be written: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  #meta(key: string): string | undefined {
    const row = this.#db.prepare('SELECT value FROM meta WHERE key = ?').get(key);
    return row === undefined ? undefined : String(row['value']);
  }

  #setMeta(key: string, value: string): string {
    this.#db
      .prepare('INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value')
      .run(key, value);
    return value;
  }
}

function parseOutcome(text: unknown): Outcome {
  return Outcome.parse(JSON.parse(String(text)));
}

/** The file opens, but part of it is no database. */
class DamagedError extends Error {}

/** Damage anywhere shows now, not when the damaged page is read while a command runs. */
function requireIntact(db: DatabaseSync): void {
  const found = db.prepare('PRAGMA quick_check(1)').get()?.['quick_check'];
  if (found !== 'ok') throw new DamagedError(String(found));
}

/** SQLITE_BUSY, SQLITE_CORRUPT, SQLITE_NOTADB (sqlite.org/rescode.html). */
const BUSY = 5;
const CORRUPT = 11;
const NOT_A_DATABASE = 26;

function isBusy(error: unknown): boolean {
  return sqliteCode(error) === BUSY;
}

function isCorrupt(error: unknown): boolean {
  if (error instanceof DamagedError) return true;
  const code = sqliteCode(error);
  return code === CORRUPT || code === NOT_A_DATABASE;
}

function sqliteCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return undefined;
  return error.errcode & 0xff;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
