import type { Kysely } from 'kysely';
import type { Clock } from '@drawbridge/link';
import { ControlError } from '@drawbridge/protocol';
import type { AuditAnchor, AuditCheckpoint, AuditReport } from '@drawbridge/protocol/api';
import type { Logger } from '@drawbridge/runtime';
import type { Metrics } from '../observability/metrics.ts';
import { AuditRepository } from '../store/audit-repository.ts';
import type { Schema } from '../store/schema.ts';
import { timestamp } from '../store/timestamp.ts';
import { uuidv7 } from '../store/uuid.ts';
import { AuditChainEnd } from './audit-chain-end.ts';
import type { CheckpointSigner } from './audit-chain-end.ts';
import type { AuditEntry } from './audit-entry.ts';
import { AuditWriter } from './audit-writer.ts';
import { exportLines } from './export-lines.ts';
import { AUDIT_LIMITS } from './limits.ts';
import { listRecords } from './list-records.ts';
import type { AuditQuery, AuditRecordPage } from './list-records.ts';
import { prepareRecord } from './prepare-record.ts';
import { sweep } from './sweep.ts';
import { verifyStore } from './verify-store.ts';

const DAY_MS = 86_400_000;

/** What the log needs. */
export interface AuditLogOptions {
  readonly db: Kysely<Schema>;
  readonly identity: CheckpointSigner;
  readonly clock: Clock;
  readonly log: Logger;
  readonly retentionDays: number;
  /** Counts the records that could not be kept. */
  readonly metrics?: Pick<Metrics, 'auditFailed'>;
}

/**
 * Who did what: records in a hash chain, signed from time to time (SECURITY.md, "The audit log"). Disposing takes no more records,
 * waits for those under way, and signs the end.
 */
export class AuditLog implements AsyncDisposable {
  readonly #options: AuditLogOptions;
  readonly #writer: AuditWriter;
  #walks = 0;

  constructor(options: AuditLogOptions) {
    const { db, identity, clock } = options;
    this.#options = options;
    this.#writer = new AuditWriter({
      db,
      signer: identity,
      now: () => timestamp(clock),
      onCheckpoint: (checkpoint) => this.#announce(checkpoint),
    });
  }

  /** Resolves when the record is durable; rejects with `store_unavailable` when it cannot be kept. */
  record(entry: AuditEntry): Promise<void> {
    const { clock, metrics } = this.#options;
    const written = this.#writer.append(prepareRecord(entry, uuidv7(clock.now()), timestamp(clock)));
    written.catch(() => metrics?.auditFailed());
    return written;
  }

  /** Newest first. */
  list(query: AuditQuery): Promise<AuditRecordPage> {
    return listRecords(new AuditRepository(this.#options.db), query);
  }

  /** Walks along the whole chain. `expected` is what the caller knows of it; what this process has written last is added. */
  async verify(expected: readonly AuditAnchor[] = [], signal?: AbortSignal): Promise<AuditReport> {
    using _walk = this.#enterWalk();
    const { db, identity } = this.#options;
    return await verifyStore(db, identity, [...expected, ...(await this.#ownAnchors())], signal);
  }

  /** The whole log as NDJSON, signed up to its end first. Rejects before the first line when it cannot be read. */
  async *export(signal?: AbortSignal): AsyncGenerator<string> {
    using _walk = this.#enterWalk();
    const { db, identity, clock } = this.#options;
    await this.checkpoint();
    yield* exportLines(db, identity, timestamp(clock), signal);
  }

  /** Signs what no checkpoint signs yet. */
  async checkpoint(): Promise<AuditCheckpoint | undefined> {
    const { db, identity, clock } = this.#options;
    const made = await db.transaction().execute(async (trx) => {
      const end = await AuditChainEnd.lock(new AuditRepository(trx));
      return end.checkpoint(identity, timestamp(clock));
    });
    if (made !== undefined) this.#announce(made);
    return made;
  }

  /** Deletes what is older than the retention, unless somebody walks along the chain just now. */
  async sweep(): Promise<number> {
    if (this.#walks > 0) return 0;
    const { db, identity, clock, retentionDays, log } = this.#options;
    const deleted = await sweep({
      db,
      signer: identity,
      before: timestamp(clock, -retentionDays * DAY_MS),
      stamp: () => ({ id: uuidv7(clock.now()), at: timestamp(clock) }),
    });
    if (deleted > 0) log.info({ records: deleted, retentionDays }, 'old audit records deleted');
    return deleted;
  }

  /** Signs and sweeps in their intervals until `signal` aborts. What fails is tried again the next time. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    let sweptMs = Number.NEGATIVE_INFINITY;
    while (!signal.aborted) {
      await this.checkpoint().catch((error: unknown) => log.warn({ err: error }, 'audit checkpoint failed'));
      if (clock.monotonic() - sweptMs >= AUDIT_LIMITS.sweepIntervalMs) {
        sweptMs = clock.monotonic();
        await this.sweep().catch((error: unknown) => log.error({ err: error }, 'sweep of the audit log failed'));
      }
      await clock.sleep(AUDIT_LIMITS.checkpointIntervalMs, signal).catch(() => undefined);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer.close();
    await this.checkpoint().catch((error: unknown) => {
      this.#options.log.warn({ err: error }, 'the end of the audit log is not signed');
    });
  }

  /** An anchor outside of the store: whoever keeps these lines notices when both tables are cut off. */
  #announce({ seq, hash, count }: AuditCheckpoint): void {
    this.#options.log.info({ seq, hash, count }, 'audit checkpoint');
  }

  /** What nobody can have changed behind this process; nothing when it has written nothing, or that was swept. */
  async #ownAnchors(): Promise<AuditAnchor[]> {
    const { newest } = this.#writer;
    if (newest === undefined) return [];
    const oldestSeq = (await new AuditRepository(this.#options.db).oldestSeq()) ?? 0;
    return newest.seq < oldestSeq ? [] : [newest];
  }

  #enterWalk(): Disposable {
    if (this.#walks >= AUDIT_LIMITS.walksMax) {
      throw new ControlError('rate_limited', `the audit log is being read ${this.#walks} times already`);
    }
    this.#walks += 1;
    return { [Symbol.dispose]: () => void (this.#walks -= 1) };
  }
}
