import { randomUUID, verify } from 'node:crypto';
import { firstMessage } from '@drawbridge/link';
import { LIMITS, ServerMessage, WsClose, encodeMessage, helloStatement } from '@drawbridge/protocol';
import { FakeClock, TempDir, eventually, settle, socketPair } from '@drawbridge/testkit';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { newAgentRow } from '../agents/new-agent-row.ts';
import { ServerIdentity } from '../identity/server-identity.ts';
import { secretHash } from '../operators/secrets.ts';
import { shakeHands } from './agent-handshake.ts';

const API_KEY = `dbk_${'k'.repeat(43)}`;
const AGENT = {
  ...newAgentRow({ agentId: randomUUID(), name: 'a', labels: {}, now: '2026-01-07T00:00:00.000Z' }),
  epoch: 0,
  auth_token_hash: secretHash(API_KEY),
};
const AUTH = {
  agent_id: AGENT.agent_id,
  auth_token: API_KEY,
  version: '1',
  capabilities: [],
  journal_id: randomUUID(),
  last_event_seq: 3,
};

let dir: TempDir;
let identity: ServerIdentity;
beforeEach(async () => {
  dir = await TempDir.make();
  identity = await ServerIdentity.load(dir.join('identity.json'));
});
afterEach(() => dir[Symbol.asyncDispose]());

/** A handshake under way, with the test as the agent. */
async function begin() {
  const clock = new FakeClock();
  const pair = socketPair({ clock });
  const heard: ServerMessage[] = [];
  const closed: { code: number; reason: string }[] = [];
  pair.b.listen({
    message: (text) => heard.push(ServerMessage.parse(JSON.parse(String(text)))),
    closed: ({ code, reason }) => closed.push({ code, reason }),
  });
  const sessionId = randomUUID();
  const options = { socket: pair.a, first: firstMessage(pair.a), agent: AGENT, sessionId, identity, clock };
  const done = shakeHands(options);
  await settle();
  const say = (type: string, payload: unknown) =>
    pair.b.send(encodeMessage({ id: 'm1', type, timestamp: new Date(clock.now()).toISOString(), payload }));
  const turnedAway = async () => {
    await eventually(() => closed[0], { what: 'the close' });
    expect(await done).toBeUndefined();
    return closed;
  };
  return { clock, pair, heard, sessionId, done, say, turnedAway };
}

it('proves who it is, for this very attempt, before the agent says a word', async () => {
  const { heard, sessionId, pair, done } = await begin();
  const [hello] = heard;
  if (hello?.type !== 'hello') throw new Error('no hello');
  const { nonce, signature, server_id: serverId } = hello.payload;
  const isSigned = (session: string) =>
    verify(
      null,
      Buffer.from(helloStatement(serverId, nonce, session)),
      identity.verifyKey,
      Buffer.from(signature, 'base64url'),
    );
  expect([isSigned(sessionId), isSigned(randomUUID())]).toEqual([true, false]);
  pair.cut();
  expect(await done).toBeUndefined();
});

it('lets in who shows the right credential, and leaves no timer', async () => {
  const { say, done, clock } = await begin();
  say('auth', AUTH);
  expect(await done).toEqual(AUTH);
  expect(clock.pending).toBe(0);
});

it.each([
  ['a wrong key', 'auth', { ...AUTH, auth_token: 'dbk_wrong' }, 'auth_failed'],
  ['the id of another agent', 'auth', { ...AUTH, agent_id: randomUUID() }, 'auth_failed'],
  ['something else first', 'heartbeat', {}, 'auth_failed'],
  ['something that is no auth', 'auth', {}, 'invalid_message'],
])('turns away %s', async (_name, type, payload, code) => {
  const { say, heard, turnedAway } = await begin();
  say(type, payload);
  expect(await turnedAway()).toEqual([{ code: WsClose.PolicyViolation, reason: `401 ${code}` }]);
  expect(heard[1]).toMatchObject({ type: 'auth_response', payload: { status: 'rejected', code, retryable: false } });
});

it.each([
  ['text that is no JSON', '{', WsClose.InvalidPayload],
  ['bytes', Uint8Array.of(1), WsClose.UnsupportedData],
])('closes on %s', async (_name, message, code) => {
  const { pair, turnedAway } = await begin();
  pair.b.send(message);
  expect(await turnedAway()).toMatchObject([{ code }]);
});

it('waits ten seconds for auth, not longer', async () => {
  const { clock, turnedAway } = await begin();
  await clock.advance(LIMITS.authTimeoutMs);
  expect(await turnedAway()).toEqual([{ code: WsClose.PolicyViolation, reason: 'auth timeout' }]);
});
