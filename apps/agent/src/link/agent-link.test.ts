import { ControlError, LIMITS, WsClose } from '@drawbridge/protocol';
import type { ServerMessage } from '@drawbridge/protocol';
import { expect, it } from 'vitest';
import { openLink } from '../agent-fixture.ts';
import { errorPayload } from './agent-link.ts';

/** A link, and what its listener was told. */
async function fixture() {
  const told: ServerMessage[] = [];
  const link = await openLink({ message: (message) => told.push(message) });
  return { ...link, told };
}

it('beats at once and at every interval, and measures the round trip', async () => {
  const { clock, heartbeats, say } = await fixture();
  expect(heartbeats).toHaveLength(1);
  await clock.advance(250);
  await say('heartbeat', { time: new Date(clock.now()).toISOString() }, heartbeats[0]?.id);
  await clock.advance(20_000);
  expect(heartbeats).toHaveLength(2);
  expect(heartbeats[1]).toMatchObject({ payload: { rtt_ms: 250 } });
});

it('hands every message on but heartbeats', async () => {
  const { say, told } = await fixture();
  const command = { operation: 'agent.ping', params: {}, remaining_ms: 1 };
  await say('command', command, 'c1');
  await say('cancel', { command_id: crypto.randomUUID() });
  await say('heartbeat', { time: new Date(0).toISOString() });
  expect(told.map(({ type }) => type)).toEqual(['command', 'cancel']);
  expect(told[0]).toMatchObject({ id: 'c1', payload: command });
});

it('answers what it does not understand, and goes on', async () => {
  const { say, heard, told } = await fixture();
  await say('explode', {}, 'm1');
  await say('command', { operation: 7 }, 'm2');
  await say('cancel', { command_id: crypto.randomUUID(), future: true });
  expect(heard).toMatchObject([
    { type: 'error', payload: { code: 'invalid_message', ref: 'm1' } },
    { type: 'error', payload: { code: 'invalid_message', ref: 'm2' } },
  ]);
  expect(told).toHaveLength(1);
});

it.each([
  ['text that is no JSON', '{', WsClose.InvalidPayload],
  ['bytes', Uint8Array.of(1), WsClose.UnsupportedData],
])('closes on %s', async (_name, message, code) => {
  const { sayRaw, closed } = await fixture();
  await sayRaw(message);
  expect(closed).toMatchObject([{ code }]);
});

it('ends when nothing was heard for 45 seconds, and says how long it was quiet', async () => {
  const { clock, link } = await fixture();
  await clock.advance(LIMITS.livenessTimeoutMs);
  expect(await link.ended).toMatchObject({ kind: 'transient' });
  expect(link.quietMs).toBe(LIMITS.livenessTimeoutMs);
  expect(clock.pending).toBe(0);
});

it('tells a cut from a goodbye', async () => {
  const cut = await fixture();
  cut.cut();
  expect(await cut.link.ended).toMatchObject({ kind: 'transient' });
  expect(cut.clock.pending).toBe(0);

  const goodbye = await fixture();
  await goodbye.say('disconnect', { reason: 'server shutdown', reconnect_after_ms: 700 });
  goodbye.cut();
  expect(await goodbye.link.ended).toEqual({ kind: 'retry_after', reason: 'server shutdown', retryAfterMs: 700 });

  const draining = await fixture();
  await draining.say('disconnect', { reason: 'later' });
  draining.cut();
  expect(await draining.link.ended).toEqual({ kind: 'draining', reason: 'later' });
});

it('sends nothing once it is over', async () => {
  const { link, cut } = await fixture();
  expect(link.send('event', {})).toBe(true);
  cut();
  await link.ended;
  expect(link.send('event', {})).toBe(false);
});

it('says goodbye when it is disposed, and leaves no timer', async () => {
  const { link, clock, heard, closed } = await fixture();
  await link[Symbol.asyncDispose]();
  await link[Symbol.asyncDispose]();
  expect(heard).toMatchObject([{ type: 'disconnect', payload: { reason: 'Shutdown' } }]);
  expect(closed).toEqual([{ code: WsClose.Normal, reason: 'Shutdown' }]);
  expect(clock.pending).toBe(0);
});

it('takes another interval', async () => {
  const { link, clock, heartbeats } = await fixture();
  link.setInterval(5_000);
  await clock.advance(10_000);
  expect(link.intervalMs).toBe(5_000);
  expect(heartbeats.length).toBeGreaterThanOrEqual(3);
});

it('tells the code of an expected failure, and nothing of a bug', () => {
  expect(errorPayload(new ControlError('conflict', 'x'.repeat(3_000)))).toEqual({
    code: 'conflict',
    message: 'x'.repeat(2_000),
  });
  expect(errorPayload(new TypeError('secret'))).toEqual({ code: 'internal', message: 'internal error' });
});
