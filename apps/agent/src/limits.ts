const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** Every bound of the agent alone, in one place; the bounds of the wire are `LIMITS` in `@drawbridge/protocol`. */
export const AGENT_LIMITS = {
  /** Tasks that run side by side when nothing else is set; further ones wait in order of arrival. */
  taskConcurrencyDefault: 4,
  /** Tasks that wait for their turn; one more fails with `agent_busy`. */
  tasksWaitingMax: 1_000,
  /** What one task may print when nothing else is set; at the bound it is ended with `output_limit`. */
  taskOutputBytesDefault: 1 * GIB,
  /** What is kept of stdout as the task's result; more stays in output.log alone. */
  taskResultBytesMax: 16 * MIB,
  /** Output that was read and is not on disk yet: at the first bound the pipes are paused, at the second resumed. */
  outputUnwrittenBytesMax: 1 * MIB,
  outputUnwrittenBytesResume: 256 * KIB,
  /** One chunk of a task's file, as a reader gets it: fits one frame. */
  outputChunkBytesMax: 64 * KIB,

  /** From SIGTERM to SIGKILL when nothing else is set. */
  killGraceMsDefault: 5 * SECOND,
  /** After SIGKILL; what is alive then cannot be killed (it is another user's, or waits for broken hardware). */
  killWaitMs: 2 * SECOND,
  /** How often dying processes are looked at: first soon, then less often. */
  killPollMsMin: 10,
  killPollMsMax: 200,
  /** After a task's process has exited, what is still on its way through the pipes has this long to arrive. */
  pipeDrainMs: 1 * SECOND,
  /** Pairs of pipes that one start of mkfifo makes. */
  sparePipes: 8,
  /** Files of /proc that are read at the same time. */
  procReadsMax: 32,
  /** A helper program of the system, such as mkfifo or ps. */
  helperTimeoutMs: 10 * SECOND,
  helperOutputBytesMax: 16 * MIB,

  /** Finished tasks are kept this long when nothing else is set. */
  retentionDaysDefault: 30,
  /** Work of one sweep: directories removed, and directories whose size is measured for the first time. */
  retentionRemovalsMax: 100,
  retentionMeasuresMax: 1_000,

  /** Providers are looked for at most this often. */
  providerProbeIntervalMs: 5 * MINUTE,
  providerReasonCharactersMax: 300,
  /** The whole of a probe of the Docker socket. */
  dockerProbeTimeoutMs: 2 * SECOND,
  dockerProbeBytesMax: 64 * KIB,
  /** A UDP socket that is bound for longer than this is no DNS lookup in flight. */
  udpLookupMs: 15 * SECOND,

  /** What a session's writer may have to go before its output is held back, and how long it is held back for one who takes nothing. */
  sessionLagBytesMax: 256 * KIB,
  writerPatienceMs: 15 * SECOND,
  /** One part of a session's output, as a viewer gets it: fits one frame. */
  sessionPartBytesMax: 64 * KIB,
  /** Input that a session's process has not taken yet: past it, who writes waits. */
  sessionInputBytesMax: 64 * KIB,
  /** Viewers of one session, its writer among them. */
  sessionViewersMax: 256,
  /** A session that has exited is kept so long for who comes back to see how it ended; the oldest go first past the number. */
  sessionExitedMs: 10 * MINUTE,
  sessionsExitedMax: 64,
  sessionsListedMax: 128,
  /** The working directory of a session, as it is shown. */
  sessionDirectoryCharactersMax: 256,
  /** How often sessions are looked at whose time may be over. */
  sessionSweepMs: 15 * SECOND,
  /** From SIGHUP to SIGKILL when a session is ended. */
  sessionKillGraceMs: 2 * SECOND,
  /** A session host without a session ends after this. */
  sessionHostIdleMs: 1 * MINUTE,
  /** A session host has this long to start. */
  sessionHostStartMs: 10 * SECOND,
  sessionHostStartPollMs: 20,
  /** Connections of agents to their session host: one is theirs, the others are on their way out. */
  sessionHostConnectionsMax: 16,
  /** A request to the session host, as JSON: a session's command and environment. */
  sessionRequestBytesMax: 256 * KIB,

  /** Connections to targets that one tunnel makes at the same time; more wait for their turn, within the limit of a dial. */
  tunnelDialsMax: 128,
  /** Names that are looked up at the same time: each takes one of the four threads that Node has for files, too. */
  tunnelLookupsMax: 2,
  tunnelLookupTimeoutMs: 5 * SECOND,
  /** Addresses of one name that are checked and tried; the rest is left out. */
  tunnelAddressesMax: 8,
} as const;
