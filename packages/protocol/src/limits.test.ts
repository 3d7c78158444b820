import { expect, it } from 'vitest';
import { LIMITS } from './limits.ts';

it('holds positive whole numbers only', () => {
  const wrong = Object.entries(LIMITS).filter(([, value]) => !Number.isSafeInteger(value) || value <= 0);
  expect(wrong).toEqual([]);
});

// Each line is a relation that something relies on: `smaller` must not exceed `larger`.
it.each([
  ['a frame of JSON fits into a frame', LIMITS.frameJsonBytesMax, LIMITS.framePayloadBytesMax],
  [
    'a reason, each character escaped, fits into a frame of JSON',
    6 * LIMITS.reasonCharactersMax + 100,
    LIMITS.frameJsonBytesMax,
  ],
  ['instructions fit into a message', LIMITS.instructionsBytesMax, LIMITS.messageBytesMax / 2],
  ['a result fits into a message', LIMITS.resultBytesMax, LIMITS.messageBytesMax / 2],
  ['a window holds whole frames', 2 * LIMITS.framePayloadBytesMax, LIMITS.windowBytesInitial],
  ['a window may grow', LIMITS.windowBytesInitial, LIMITS.windowBytesMax],
  [
    'one full tunnel fits into the budget',
    LIMITS.channelsPerTunnelMax * LIMITS.windowBytesInitial,
    LIMITS.windowBytesOfProcessMax,
  ],
  ['a socket takes several frames', 4 * LIMITS.framePayloadBytesMax, LIMITS.socketBufferBytesMax],
  ['a socket resumes below where it stops', LIMITS.socketBufferBytesResume, LIMITS.socketBufferBytesMax / 2],
  ['one CONTROL fits among the unread', LIMITS.frameJsonBytesMax, LIMITS.channelControlBytesUnreadMax],
  ['each channel of a tunnel may have answers waiting', 4 * LIMITS.channelsPerTunnelMax, LIMITS.framesUrgentMax],
  ['a heartbeat may be lost before a peer counts as dead', 2 * LIMITS.heartbeatIntervalMs, LIMITS.livenessTimeoutMs],
  ['the slowest heartbeat keeps a connection alive', LIMITS.heartbeatIntervalMsMax, LIMITS.livenessTimeoutMs - 1_000],
  ['the default heartbeat stays below the 30 s of load balancers', LIMITS.heartbeatIntervalMs, 29_000],
  ['the heartbeat is not below its minimum', LIMITS.heartbeatIntervalMsMin, LIMITS.heartbeatIntervalMs],
  ['the heartbeat is not above its maximum', LIMITS.heartbeatIntervalMs, LIMITS.heartbeatIntervalMsMax],
  [
    'three waits of a superseded agent fall into the window',
    LIMITS.supersededTimesMax * LIMITS.supersededWaitMs,
    LIMITS.supersededWindowMs,
  ],
  ['one agent cannot have more commands in flight than stored', LIMITS.commandsInFlightMax, LIMITS.commandsPerAgentMax],
  ['events in flight are among the unacked', LIMITS.eventsInFlightMax, LIMITS.eventsUnackedMax],
  ['a command waits no longer than allowed', LIMITS.commandTtlSecondsDefault, LIMITS.commandTtlSecondsMax],
  ['a task runs no longer than allowed', LIMITS.taskTimeoutSecondsDefault, LIMITS.taskTimeoutSecondsMax],
  [
    'an id is remembered as long as its command may wait',
    LIMITS.commandTtlSecondsMax * 1_000,
    LIMITS.journalRetentionMs,
  ],
])('%s', (_relation, smaller, larger) => {
  expect(smaller).toBeLessThanOrEqual(larger);
});
