/** Bounds of the event feed. */
export const EVENT_LIMITS = {
  /** Events that can be read again; the oldest goes first. Whoever asks for one that is gone is told `reset`. */
  eventsKept: 10_000,
  eventsKeptMs: 60 * 60_000,
  /** Streams of one actor; one more is refused with `rate_limited`. */
  streamsPerActorMax: 20,
  /** A stream without news says this often that it is alive. */
  heartbeatMs: 15_000,
  /** A reader that takes nothing for this long is cut off; it comes back with its last id. */
  stalledMs: 60_000,
  /** Agents whose labels are remembered for a moment; past it all are forgotten and asked for again. */
  labelsCached: 20_000,
  /** How long labels are believed. */
  labelsCachedMs: 1_000,
} as const;
