import { randomUUID } from 'node:crypto';
import { ServerMessage, WsClose, encodeMessage } from '@drawbridge/protocol';
import { eventually, settle, socketPair } from '@drawbridge/testkit';
import type { SocketPair } from '@drawbridge/testkit';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ControlPlaneFixture } from '../control-plane-fixture.ts';
import { seriesOf } from '../observability/observability-fixture.ts';
import type { AgentLink } from './agent-link.ts';
import { MESSAGE_PACE } from './message-pace.ts';

let control: ControlPlaneFixture;
let agentId: string;
let pair: SocketPair;
let heard: ServerMessage[];
let closed: { code: number; reason: string }[];
/** The most messages that the control plane had read and not answered. */
let readAheadMost: number;
beforeEach(async () => {
  control = await ControlPlaneFixture.make();
  agentId = await control.addAgent();
  pair = socketPair({ clock: control.clock });
  heard = [];
  closed = [];
  readAheadMost = 0;
  pair.b.listen({
    message(text) {
      readAheadMost = Math.max(readAheadMost, pair.bToA.delivered - heard.length);
      heard.push(ServerMessage.parse(JSON.parse(String(text))));
    },
    closed: (end) => closed.push(end),
  });
  await control.accept(agentId, pair.a, { journalId: randomUUID(), lastEventSeq: 0 });
});
afterEach(async () => {
  pair.cut();
  await control[Symbol.asyncDispose]();
});

function say(type: string, payload: unknown, id: string = randomUUID()): void {
  pair.b.send(encodeMessage({ id, type, timestamp: new Date(control.clock.now()).toISOString(), payload }));
}

function hear(count: number): Promise<ServerMessage[]> {
  return eventually(() => heard, { what: `${count} messages`, until: (all) => all.length === count });
}

function link(): AgentLink {
  return control.parts.presence.current(agentId) as AgentLink;
}

it('answers a heartbeat at once, under its id, and knows the agent’s health', async () => {
  say('heartbeat', { cpu: 0.5 }, 'h1');
  expect(await hear(1)).toMatchObject([{ type: 'heartbeat', id: 'h1', payload: { time: '2026-01-07T10:00:00.000Z' } }]);
  expect(link().health).toEqual({ cpu: 0.5 });
});

it('counts what is said on the link by its type, and what the agent says of its round trip', async () => {
  say('heartbeat', { rtt_ms: 30 });
  say('explode', {});
  await hear(2);
  const series = await seriesOf(control.parts.metrics.registry);
  const messages = (direction: string, type: string) =>
    series.get(`drawbridge_ws_messages_total{socket="link",direction="${direction}",type="${type}"}`);
  expect([messages('in', 'heartbeat'), messages('in', 'other')]).toEqual([1, 1]);
  expect([messages('out', 'heartbeat'), messages('out', 'error')]).toEqual([1, 1]);
  expect(series.get('drawbridge_heartbeat_round_trip_seconds_count')).toBe(1);
});

it('takes the newest sample of those that waited', async () => {
  const at = '2026-01-07T10:00:00.000Z';
  say('telemetry', {
    samples: [
      { at, sample: { cpu: 0.1 } },
      { at, sample: { cpu: 0.2 } },
    ],
  });
  say('telemetry', { samples: [] });
  await eventually(() => link().health, { what: 'a sample' });
  expect(link().health).toEqual({ cpu: 0.2 });
});

it('acknowledges events in order, and only once they are stored', async () => {
  for (const seq of [1, 2, 3]) say('event', { seq, kind: 'warning', data: { seq } });
  expect((await hear(3)).map(({ payload }) => payload)).toEqual([{ event_seq: 1 }, { event_seq: 2 }, { event_seq: 3 }]);
  const rows = await control.parts.db.selectFrom('agent_events').select('seq').orderBy('seq').execute();
  expect(rows.map(({ seq }) => seq)).toEqual([1, 2, 3]);
});

it('acknowledges an outcome it cannot place, so that the agent may forget it', async () => {
  const id = randomUUID();
  say('command_response', { status: 'cancelled' }, id);
  expect(await hear(1)).toMatchObject([{ type: 'ack', payload: { command_id: id } }]);
});

it('says what it did not understand, and goes on', async () => {
  say('explode', {}, 'm1');
  say(
    'auth',
    { agent_id: agentId, auth_token: 'x', version: '1', capabilities: [], journal_id: randomUUID(), last_event_seq: 0 },
    'm2',
  );
  expect(await hear(2)).toMatchObject([
    { type: 'error', payload: { code: 'invalid_message', ref: 'm1' } },
    { type: 'error', payload: { code: 'invalid_message', ref: 'm2' } },
  ]);
});

it.each([
  ['text that is no JSON', '{', WsClose.InvalidPayload],
  ['bytes', Uint8Array.of(1), WsClose.UnsupportedData],
])('closes on %s', async (_name, message, code) => {
  pair.b.send(message);
  await eventually(() => closed[0], { what: 'the close' });
  expect(closed).toMatchObject([{ code }]);
});

it('acknowledges nothing that it could not store, and closes instead', async () => {
  await control.parts.store.close();
  say('event', { seq: 1, kind: 'warning', data: {} });
  await eventually(() => closed[0], { what: 'the close' });
  expect(closed).toMatchObject([{ code: WsClose.TryAgainLater }]);
  expect(heard).toEqual([]);
});

it('hears nothing from a connection that was replaced', async () => {
  const old = link();
  const newer = socketPair({ clock: control.clock });
  newer.b.listen({ message: () => undefined, closed: () => undefined });
  await control.accept(agentId, newer.a, { journalId: old.journalId, lastEventSeq: 0 });
  await eventually(() => closed[0], { what: 'the close' });
  expect(closed).toMatchObject([{ code: WsClose.Superseded, reason: 'superseded' }]);
  expect(control.parts.presence.isCurrent(old)).toBe(false);
  newer.cut();
  await eventually(() => control.parts.presence.current(agentId) === undefined, { what: 'the end' });
});

it('does not read the socket while sixty-four messages wait for the store, and reads it again as they are stored', async () => {
  for (let seq = 1; seq <= 200; seq += 1) say('event', { seq, kind: 'warning', data: {} });
  // The wire moves by microtasks alone, and the store never answers in one: all that would be read is read by now.
  for (let turn = 0; turn < 2_000; turn += 1) await Promise.resolve();
  expect(pair.bToA.delivered).toBe(64);
  expect(link().backlog).toMatchObject({ messages: 64, isFull: true });
  const all = await hear(200);
  expect(all.map(({ payload }) => payload)).toEqual(
    Array.from({ length: 200 }, (_item, index) => ({ event_seq: index + 1 })),
  );
  // Neither the first time nor any later one: a message is read for each that is answered.
  expect(readAheadMost).toBeLessThanOrEqual(64);
  expect(link().backlog).toMatchObject({ messages: 0, isFull: false });
});

it('reads an agent that talks too fast more slowly, loses nothing of it, and never cuts it off', async () => {
  const count = MESSAGE_PACE.burst + 2_000;
  for (let index = 0; index < count; index += 1) say('heartbeat', {}, `h${index}`);
  await settle();
  const before = heard.length;
  expect(before).toBeLessThan(count);
  for (let second = 0; second < 3; second += 1) await control.clock.advance(1_000);
  expect((await hear(count)).map(({ id }) => id)).toEqual(Array.from({ length: count }, (_item, index) => `h${index}`));
  expect(closed).toEqual([]);
});
