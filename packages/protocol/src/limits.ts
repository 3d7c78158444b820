const KIB = 1024;
const MIB = 1024 * KIB;
const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** Every bound of the wire, in one place. Relations between them are asserted in `limits.test.ts`. */
export const LIMITS = {
  /** One JSON message on a control link; a longer one closes it with 1009 (PROTOCOL.md §2.2). */
  messageBytesMax: 256 * KIB,
  /** A task's instructions; longer ones are refused where they are made. */
  instructionsBytesMax: 128 * KIB,
  /** The result of a command, as JSON. */
  resultBytesMax: 128 * KIB,
  /** A human-readable reason or error message. */
  reasonCharactersMax: 2_000,

  /** version, type, flags, reserved, channel id, length (PROTOCOL.md §3.2). */
  frameHeaderBytes: 12,
  framePayloadBytesMax: 64 * KIB,
  /** JSON payloads of frames are small; more is a protocol error. */
  frameJsonBytesMax: 16 * KIB,

  channelsPerTunnelMax: 1_024,
  /** Credit of each direction of a channel when it opens (PROTOCOL.md §3.4). */
  windowBytesInitial: 256 * KIB,
  windowBytesMax: 16 * MIB,
  /** All windows of one process together. */
  windowBytesOfProcessMax: 256 * MIB,

  /** The far end has this long to answer CHANNEL_OPEN; behind it may be a dial to a target. */
  channelOpenTimeoutMs: 30 * SECOND,
  /** What a sender may leave with a channel before `send` makes it wait. */
  channelOutboxBytesMax: 256 * KIB,
  /** Items a channel's reader may leave unread; credit bounds their bytes, this their number. */
  channelItemsUnreadMax: 16_384,
  /** CONTROL items take no credit, so they have bounds of their own; past them the channel ends with 11. */
  channelControlsUnreadMax: 1_024,
  channelControlBytesUnreadMax: 64 * KIB,
  /** Frames that overtake, and refusals, waiting for a socket; past it the peer floods without reading, and the tunnel ends. */
  framesUrgentMax: 8_192,
  /** The round trip to the far end is measured at most this often. */
  rttProbeIntervalMs: 10 * SECOND,

  /** An end hands a socket no more than this before it waits for it to drain. */
  socketBufferBytesMax: 512 * KIB,
  socketBufferBytesResume: 128 * KIB,

  helloTimeoutMs: 10 * SECOND,
  authTimeoutMs: 10 * SECOND,
  connectTimeoutMs: 10 * SECOND,
  dialTimeoutMs: 10 * SECOND,
  /** No inbound byte for this long, and a connection is dead (PROTOCOL.md §2.3). */
  livenessTimeoutMs: 45 * SECOND,
  /** How often the control plane looks for silent links. */
  livenessSweepMs: 1 * SECOND,
  /** How often `last_heartbeat` is written, for all agents at once. */
  heartbeatFlushMs: 10 * SECOND,
  /** Rows one statement touches. */
  rowsPerStatementMax: 500,
  heartbeatIntervalMs: 20 * SECOND,
  heartbeatIntervalMsMin: 1 * SECOND,
  heartbeatIntervalMsMax: 40 * SECOND,
  /** A link that lived this long forgets its earlier failures. */
  healthyLinkMs: 60 * SECOND,

  /** After a rejected credential (S0-035). */
  authCoolDownMs: 30 * SECOND,
  /** After being superseded by another connection of the same agent. */
  supersededWaitMs: 60 * SECOND,
  supersededWindowMs: 10 * MINUTE,
  supersededTimesMax: 3,

  /** Telemetry kept while a link is away (S0-059). */
  telemetryItemsMax: 150,
  /** Events of an agent that wait for their ack before it stops producing more. */
  eventsUnackedMax: 10_000,
  /** Events sent ahead of their ack. */
  eventsInFlightMax: 64,

  /** Commands the control plane has sent to one agent and not yet seen acknowledged. */
  commandsInFlightMax: 64,
  /** Unfinished commands of one agent; one more is refused with `queue_full`. */
  commandsPerAgentMax: 1_000,

  /** Counted frames an end keeps until the other has them; at the bound it waits (PROTOCOL.md §3.6). */
  framesUnreceivedMax: 8_192,
  /** A receiver says RECEIVED after so many counted frames, or bytes of them, or so long. */
  receivedFramesMax: 32,
  receivedBytesMax: 256 * KIB,
  receivedDelayMs: 100,

  /** A lease whose two ends have never met ends after this (PROTOCOL.md §3.1). */
  leasePendingMs: 120 * SECOND,
  /** How often leases are looked at: idle, grace, what was never used. */
  leaseSweepMs: 15 * SECOND,
  /** Leases that are not over, of one agent; one more is refused with `queue_full`. */
  leasesPerAgentMax: 256,

  /** Columns, or rows, of a terminal. */
  terminalColumnsMax: 1_000,
  /** One message to a session's WebSocket: pasted text comes in several. */
  terminalMessageBytesMax: 1 * MIB,
  /** A session's command, and its environment, as JSON. */
  sessionCommandBytesMax: 32 * KIB,
  sessionEnvironmentBytesMax: 32 * KIB,

  /** The system tunnel closes after this long without a channel (PROTOCOL.md §1). */
  systemTunnelIdleMs: 5 * MINUTE,
  /** The agent has this long to answer `tunnel.open` with a connection. */
  tunnelTokenMs: 120 * SECOND,

  /** How long the id of a command stays in an agent's journal after its outcome was acknowledged. */
  journalRetentionMs: 30 * 24 * 60 * MINUTE,

  /** A command waits this long for its agent when nothing else is asked (24 h), and this long at most (30 d). */
  commandTtlSecondsDefault: 86_400,
  commandTtlSecondsMax: 30 * 86_400,
  commandTimeoutSecondsDefault: 300,
  taskTimeoutSecondsDefault: 30 * 60,
  taskTimeoutSecondsMax: 7 * 86_400,

  /** Statements that share one commit of the SQLite store; the replies of a batch wait no longer than this takes. */
  storeBatchStatementsMax: 1_000,
  /** SQL texts that the SQLite store keeps prepared; the least recently used goes first. */
  storePreparedStatementsMax: 500,
  /** Requests that wait for the store; one more is refused with `store_unavailable`. */
  storeRequestsMax: 20_000,
  /** How long one transaction may keep the store waiting for its caller, all pauses together, before it is undone. */
  storeTransactionPauseMsMax: 10 * SECOND,

  /** A connection to PostgreSQL has this long to be made, or to become free; then it is `store_unavailable`. */
  storeConnectTimeoutMs: 10 * SECOND,
  /** PostgreSQL gives a statement up after this long, and one that waits for a lock; then it is `timed_out`. */
  storeStatementTimeoutMs: 30 * SECOND,
  storeLockTimeoutMs: 10 * SECOND,
  /** PostgreSQL has not said a word about a statement for this long: the connection is given up. */
  storeSilenceTimeoutMs: 40 * SECOND,
  /** How soon the system probes a silent connection to PostgreSQL. */
  storeKeepAliveMs: 10 * SECOND,
  /** How long a starting control plane waits for one that is just ending to let its database go. */
  storeTakeoverTimeoutMs: 5 * SECOND,
  /** Times a lone statement is tried that PostgreSQL gave up in favour of another. */
  storeCollisionTriesMax: 5,
} as const;
