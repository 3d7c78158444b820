import { auditCheckpointStatement } from '@drawbridge/protocol';
import type { AuditCheckpoint } from '@drawbridge/protocol/api';
import type { AuditHeadRow, AuditRepository } from '../store/audit-repository.ts';
import { chainRows } from './chain-rows.ts';
import type { UnchainedRecord } from './prepare-record.ts';

/** Who signs checkpoints: the control plane's identity. */
export interface CheckpointSigner {
  readonly serverId: string;
  readonly publicKey: string;
  sign(statement: string): string;
}

/** The end of the chain inside one transaction: locked, so that nobody else appends before the transaction has ended. */
export class AuditChainEnd {
  readonly #audit: AuditRepository;
  #head: AuditHeadRow;

  private constructor(audit: AuditRepository, head: AuditHeadRow) {
    this.#audit = audit;
    this.#head = head;
  }

  /** `audit` works in the transaction of the caller. */
  static async lock(audit: AuditRepository): Promise<AuditChainEnd> {
    return new AuditChainEnd(audit, await audit.lockHead());
  }

  get seq(): number {
    return this.#head.seq;
  }

  get hash(): string {
    return this.#head.hash;
  }

  /** Records that no checkpoint signs yet. */
  get unsigned(): number {
    return this.#head.seq - this.#head.checkpoint_seq;
  }

  /** Adds records, in this order. */
  async append(records: readonly UnchainedRecord[]): Promise<void> {
    const rows = chainRows(this.#head, records);
    const last = rows.at(-1);
    if (last === undefined) return;
    await this.#audit.insertRecords(rows);
    await this.#move({ seq: last.seq, hash: last.hash, checkpoint_seq: this.#head.checkpoint_seq });
  }

  /** Signs what is unsigned; undefined when nothing is. */
  async checkpoint(signer: CheckpointSigner, at: string): Promise<AuditCheckpoint | undefined> {
    if (this.unsigned === 0) return undefined;
    const { seq, hash } = this.#head;
    const unsigned = { seq, hash, at, count: this.unsigned };
    const signature = signer.sign(auditCheckpointStatement(signer.serverId, unsigned));
    const checkpoint = { ...unsigned, signature };
    await this.#audit.insertCheckpoint(checkpoint);
    await this.#move({ seq, hash, checkpoint_seq: seq });
    return checkpoint;
  }

  async #move(head: AuditHeadRow): Promise<void> {
    await this.#audit.moveHead(head);
    this.#head = head;
  }
}
