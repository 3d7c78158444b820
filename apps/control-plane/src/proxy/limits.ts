const KIB = 1024;
const MIB = 1024 * KIB;
const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** Bounds of the proxy to services behind agents. */
export const PROXY_LIMITS = {
  /** Requests and WebSockets under way to one agent; one more is refused with `queue_full`. Its tunnel has room for other channels besides. */
  exchangesPerAgentMax: 512,
  /** Of these, as many as one person or token may have. */
  exchangesPerActorMax: 256,
  /** A service has this long to begin its answer, from the last byte of the request on; then 504. */
  answerTimeoutMs: 3 * MINUTE,
  /** No byte of a request or an answer has moved for this long: the exchange is cut. */
  stalledMs: 10 * MINUTE,
  /** One end of an exchange has this much unwritten, and the other is read no further: a few pieces, so that none waits for each. */
  unwrittenBytesMax: 256 * KIB,
  /** Interim answers (100, 103) of one exchange that are passed on, and links in one of them; more are dropped. */
  interimAnswersMax: 4,
  linksPerHintMax: 32,
  /** Headers of an answer; longer ones are no HTTP. */
  answerHeaderBytesMax: 64 * KIB,
  /** Idle connections kept to one port of an agent, and to all; one more is closed at once. */
  idlePerPortMax: 16,
  idleMax: 256,
  /** How long an idle connection is kept: less than services keep theirs, five seconds being usual. */
  idleMs: 4 * SECOND,
  /** What a client still sends after its answer is read and dropped for this long; then its connection ends. */
  lingerMs: 5 * SECOND,

  /** One message of a WebSocket, in either direction; a longer one closes both ends with 1009. */
  messageBytesMax: 16 * MIB,
  /** A WebSocket's other end has this much unsent, and its messages are read no further. */
  unsentBytesMax: 1 * MIB,
  /** A service has this long to answer a WebSocket's handshake. */
  handshakeTimeoutMs: 10 * SECOND,
  /** Both ends of a WebSocket are pinged this often. */
  pingMs: 20 * SECOND,
  /** One that is read and says nothing for this long, not even a pong, is gone. */
  silentMs: 60 * SECOND,
  /** An end of a WebSocket has this long to answer a close. */
  closeTimeoutMs: 5 * SECOND,
  /** Subprotocols a client may offer; more is a bad handshake. */
  subprotocolsMax: 32,

  /** Somebody's use of a port is recorded again when it was left alone for this long. */
  usePauseMs: 60 * MINUTE,
  /** Uses remembered at once; with one more the oldest is forgotten, and recorded anew when it goes on. */
  usesMax: 10_000,
} as const;
