const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** The bounds of the audit log. */
export const AUDIT_LIMITS = {
  /** Records that wait for the store; one more is refused with `store_unavailable`. */
  recordsWaitingMax: 10_000,
  /** Records of one transaction; the others wait for the next. */
  recordsPerTransactionMax: 500,
  /** With this many unsigned records a checkpoint is made at once. */
  recordsPerCheckpointMax: 1_000,
  /** Unsigned records are signed this often, however few they are. */
  checkpointIntervalMs: 1 * MINUTE,
  /** How often old records are looked for. */
  sweepIntervalMs: 60 * MINUTE,
  /** Records one sweep's transaction deletes, unless a single stretch is longer; the next transaction deletes more. */
  sweepRecordsMax: 5_000,
  /** Records or checkpoints that a walk holds at a time. */
  pageRowsMax: 500,
  /** Walks along the whole chain at a time; one more is refused with `rate_limited`. */
  walksMax: 2,
} as const;
