import type { Kysely } from 'kysely';
import { ControlError } from '@drawbridge/protocol';
import type { AuditAnchor, AuditCheckpoint } from '@drawbridge/protocol/api';
import { AuditRepository } from '../store/audit-repository.ts';
import type { Schema } from '../store/schema.ts';
import { AuditChainEnd } from './audit-chain-end.ts';
import type { CheckpointSigner } from './audit-chain-end.ts';
import { AUDIT_LIMITS } from './limits.ts';
import type { UnchainedRecord } from './prepare-record.ts';

/** A record on its way, and who waits for it. */
interface Waiting {
  readonly record: UnchainedRecord;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** What the writer needs. */
export interface AuditWriterOptions {
  readonly db: Kysely<Schema>;
  readonly signer: CheckpointSigner;
  /** Now, as the store writes it. */
  readonly now: () => string;
  readonly onCheckpoint: (checkpoint: AuditCheckpoint) => void;
}

/**
 * Appends records, one transaction after the other, each with all that has come meanwhile.
 *
 *   idle --append--> writing --queue empty--> idle
 *     `---------------`----------close------> closed, once the queue is empty
 */
export class AuditWriter {
  readonly #options: AuditWriterOptions;
  readonly #queue: Waiting[] = [];
  #writing: Promise<void> | undefined;
  #isClosed = false;
  #newest: AuditAnchor | undefined;

  constructor(options: AuditWriterOptions) {
    this.#options = options;
  }

  /** The last record this process has written: nobody else can have changed what is remembered here. */
  get newest(): AuditAnchor | undefined {
    return this.#newest;
  }

  /** Records that are not durable yet. */
  get waiting(): number {
    return this.#queue.length;
  }

  /**
   * Resolves when the record is durable. Callers wait for each other's transactions; rejects with `store_unavailable` when too
   * many do, after `close`, or when the store has failed: then none of the transaction's records is there.
   */
  append(record: UnchainedRecord): Promise<void> {
    if (this.#isClosed) return Promise.reject(unavailable('is closed'));
    if (this.#queue.length >= AUDIT_LIMITS.recordsWaitingMax) {
      return Promise.reject(unavailable(`has ${this.#queue.length} records waiting already`));
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ record, resolve, reject });
      this.#writing ??= this.#write();
    });
  }

  /** Takes no more records, and resolves when those that were taken are settled. Twice is fine. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#writing;
  }

  /** Never rejects: each failure goes to those whose records it took. */
  async #write(): Promise<void> {
    // Whatever is recorded in this turn shares the first transaction.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const batch = this.#queue.slice(0, AUDIT_LIMITS.recordsPerTransactionMax);
      try {
        await this.#append(batch.map(({ record }) => record));
        for (const { resolve } of batch) resolve();
      } catch (cause) {
        for (const { reject } of batch) reject(unavailable(`could not be written: ${messageOf(cause)}`, cause));
      }
      this.#queue.splice(0, batch.length);
    }
    this.#writing = undefined;
  }

  async #append(records: readonly UnchainedRecord[]): Promise<void> {
    const { db, signer, now, onCheckpoint } = this.#options;
    const written = await db.transaction().execute(async (trx) => {
      const end = await AuditChainEnd.lock(new AuditRepository(trx));
      await end.append(records);
      const isDue = end.unsigned >= AUDIT_LIMITS.recordsPerCheckpointMax;
      const checkpoint = isDue ? await end.checkpoint(signer, now()) : undefined;
      return { newest: { seq: end.seq, hash: end.hash }, checkpoint };
    });
    this.#newest = written.newest;
    if (written.checkpoint !== undefined) onCheckpoint(written.checkpoint);
  }
}

function unavailable(reason: string, cause?: unknown): ControlError {
  return new ControlError('store_unavailable', `the audit log ${reason}`, cause === undefined ? {} : { cause });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown error';
}
