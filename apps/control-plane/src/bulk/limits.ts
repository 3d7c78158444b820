/** Every bound of bulk runs on this side; those of a request are in the protocol's `BULK_LIMITS`. */
export const BULK_ENGINE_LIMITS = {
  /** Unfinished runs at once; one more is refused with `queue_full`. */
  runsMax: 100,
  /** Looks at every unfinished run at least this often, should a wake-up be lost. */
  pollMs: 2_000,
  /**
   * After a start of the control plane the agents come back, spread out: for this long, what an earlier process left waits for
   * an agent that is not there yet. Then it fails with `agent_offline`.
   */
  returnMs: 30_000,
  /** Waiting targets, or records of the audit log, looked at together. */
  rowsMax: 100,
} as const;
