import type { AuditAnchor, AuditCheckpoint, AuditProblem, AuditRecord, AuditReport } from '../api/audit.ts';
import { GENESIS_HASH } from './record-text.ts';

/** The verb of the record that a sweep leaves; its detail `through_seq` says up to where records were deleted. */
export const AUDIT_SWEEP_VERB = 'audit.sweep';

/** Problems that a report lists; the others are counted. */
const PROBLEMS_MAX = 100;

/** Where the chain is said to end. */
export interface AuditEnd {
  readonly seq: number;
  readonly hash: string;
  /** The newest checkpoint's record. */
  readonly checkpointSeq: number;
}

/**
 * Walks along a chain from its oldest record and says what is wrong with it. It knows neither store nor cryptography: whoever feeds
 * it computes hashes and checks signatures. Records come by `seq`, each checkpoint after the record it signs; one that comes before
 * every record is what a sweep has left, and vouches for all that was deleted.
 */
export class AuditChain {
  readonly #expected: Map<number, string>;
  readonly #problems: AuditProblem[] = [];
  #problemsTotal = 0;
  #records = 0;
  #checkpoints = 0;
  #first: number | null = null;
  /** Up to where records may be gone: the sweep's checkpoint, or 0. */
  #baseSeq = 0;
  #sweptThroughSeq = 0;
  #seq = 0;
  #hash = GENESIS_HASH;
  #checkpoint: { readonly seq: number } | undefined;
  #vouchedSeq = 0;

  /** `expected`: what is known from elsewhere, such as from a log. */
  constructor(expected: readonly AuditAnchor[] = []) {
    this.#expected = new Map(expected.map(({ seq, hash }) => [seq, hash]));
    const repeated = expected.find(({ seq, hash }) => this.#expected.get(seq) !== hash);
    if (repeated !== undefined)
      this.#report(repeated.seq, 'rewritten', `two anchors disagree on record ${repeated.seq}`);
  }

  /** The next record; `computedHash` is what its content and its `previous_hash` make. */
  record(record: AuditRecord, computedHash: string): void {
    const { seq, hash } = record;
    this.#arrive(seq);
    if (hash !== computedHash) this.#report(seq, 'edited', `record ${seq} does not have the hash of its content`);
    if (record.previous_hash !== this.#hash && seq === this.#seq + 1) {
      const before = this.#seq === 0 ? 'the beginning of the chain' : `record ${this.#seq}`;
      this.#report(seq, 'edited', `record ${seq} does not follow from ${before}: one of them was changed`);
    }
    this.#pass(seq, hash);
    if (record.verb === AUDIT_SWEEP_VERB && typeof record.details['through_seq'] === 'number') {
      this.#sweptThroughSeq = record.details['through_seq'];
    }
  }

  /** A record whose stored form is not one that was ever written. */
  unreadable(seq: number, storedHash: string): void {
    this.#arrive(seq);
    this.#report(seq, 'edited', `record ${seq} cannot be read as it was written`);
    this.#pass(seq, storedHash);
  }

  /** The next checkpoint; `isGenuine` says whether the control plane's key made its signature. */
  checkpoint(checkpoint: AuditCheckpoint, isGenuine: boolean): void {
    const { seq, hash, count } = checkpoint;
    this.#checkpoints += 1;
    if (!isGenuine)
      this.#report(seq, 'checkpoint_forged', `the signature of the checkpoint at record ${seq} is not the server's`);
    const isBase = this.#checkpoint === undefined && this.#records === 0;
    const before = this.#checkpoint?.seq ?? this.#baseSeq;
    this.#checkpoint = { seq };
    if (isBase && isGenuine) {
      this.#baseSeq = seq;
      this.#seq = seq;
      this.#hash = hash;
      this.#see(seq, hash);
      return;
    }
    if (seq - count !== before) {
      this.#report(seq, 'checkpoint_removed', `between record ${before} and record ${seq} a checkpoint is missing`);
    }
    if (!isGenuine) return;
    this.#vouchedSeq = Math.max(this.#vouchedSeq, seq);
    if (seq > this.#seq)
      this.#report(seq, 'removed', `record ${seq} does not stand before the checkpoint that signs it`);
    if (seq < this.#seq)
      this.#report(seq, 'inserted', `the checkpoint at record ${seq} stands after record ${this.#seq}`);
    if (seq === this.#seq && hash !== this.#hash) {
      this.#report(seq, 'rewritten', `record ${seq} is not the one that the checkpoint signs`);
    }
  }

  /** The end of what there is, and what it is compared with: where the chain is said to end. */
  end(said?: AuditEnd): AuditReport {
    if (said !== undefined) this.#compareEnd(said);
    if (this.#seq < this.#vouchedSeq) {
      this.#report(this.#seq + 1, 'cut_off', `records ${this.#seq + 1} to ${this.#vouchedSeq} are missing at the end`);
    }
    if (this.#baseSeq !== this.#sweptThroughSeq) {
      const message = `records up to ${this.#baseSeq} are gone, but the newest sweep went up to ${this.#sweptThroughSeq}`;
      this.#report(this.#baseSeq, 'removed', message);
    }
    for (const seq of this.#expected.keys()) {
      const isOlder = seq <= this.#baseSeq;
      const message = isOlder ? `record ${seq} is older than what is kept` : `record ${seq} is not there`;
      this.#report(seq, isOlder ? 'anchor_unknown' : 'cut_off', message);
    }
    return {
      ok: this.#problemsTotal === 0,
      records: this.#records,
      checkpoints: this.#checkpoints,
      first: this.#first,
      last: this.#seq === 0 ? null : this.#seq,
      last_hash: this.#seq === 0 ? null : this.#hash,
      problems: this.#problems,
      problems_total: this.#problemsTotal,
    };
  }

  /** The place of a record in the row. */
  #arrive(seq: number): void {
    this.#records += 1;
    this.#first ??= seq;
    if (seq <= this.#seq) this.#report(seq, 'inserted', `record ${seq} stands after record ${this.#seq}`);
    if (seq > this.#seq + 1)
      this.#report(this.#seq + 1, 'removed', `records ${this.#seq + 1} to ${seq - 1} are missing`);
  }

  #pass(seq: number, hash: string): void {
    this.#see(seq, hash);
    if (seq <= this.#seq) return;
    this.#seq = seq;
    this.#hash = hash;
  }

  #see(seq: number, hash: string): void {
    const expected = this.#expected.get(seq);
    if (expected === undefined) return;
    this.#expected.delete(seq);
    if (expected !== hash) this.#report(seq, 'rewritten', `record ${seq} is not the one that the anchor names`);
  }

  #compareEnd({ seq, hash, checkpointSeq }: AuditEnd): void {
    this.#vouchedSeq = Math.max(this.#vouchedSeq, seq);
    if (this.#seq > seq)
      this.#report(seq + 1, 'inserted', `the chain ends with record ${seq}, but there are later ones`);
    if (this.#seq === seq && this.#hash !== hash) {
      this.#report(seq, 'rewritten', `record ${seq} is not the one that the chain is said to end with`);
    }
    const newest = this.#checkpoint?.seq ?? 0;
    if (newest !== checkpointSeq) {
      const message = `the newest checkpoint is at record ${newest}, not at record ${checkpointSeq}`;
      this.#report(checkpointSeq, 'checkpoint_removed', message);
    }
  }

  #report(seq: number, kind: AuditProblem['kind'], message: string): void {
    this.#problemsTotal += 1;
    if (this.#problems.length < PROBLEMS_MAX) this.#problems.push({ seq, kind, message });
  }
}
