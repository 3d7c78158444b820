import { randomUUID } from 'node:crypto';
import { decodeFrame, decodeJson, encodeFrame, encodeJson, ErrorPayload, FrameType } from '@drawbridge/protocol';
import { eventually, startTask, TestControlPlane } from '@drawbridge/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { knock } from './edge-requests.ts';
import { dialLeg, dialLink, linkOf, makeRawAgent } from './garbage-agent.ts';
import type { RawAgent as KeyedAgent } from './garbage-agent.ts';
import { enrolRaw, newFacts, RawAgent } from './raw-agent.ts';
import type { RawIdentity } from './raw-agent.ts';

const TunnelParams = z.object({ tunnel_id: z.string(), token: z.string() });
const Made = z.object({ id: z.string() });

const parts = new AsyncDisposableStack();
let plane: TestControlPlane;
let mallory: RawIdentity;
let victim: RawIdentity;
/** An agent's own connection, of a machine that somebody else has taken over, and the one of its neighbour. */
let hostile: RawAgent;
let honest: RawAgent;
beforeAll(async () => {
  plane = parts.use(await TestControlPlane.start());
  mallory = await enrolRaw(plane, 'mallory');
  victim = await enrolRaw(plane, 'victim');
  hostile = parts.use(await RawAgent.connect(plane.url, mallory, newFacts()));
  honest = parts.use(await RawAgent.connect(plane.url, victim, newFacts()));
  for (const agent of [hostile, honest]) agent.send('heartbeat', { tasks_running: 0 });
});
afterAll(() => parts.disposeAsync());

/** A task of the victim, and the command it was told it by. */
async function taskOfVictim() {
  const { id: taskId } = await startTask(plane, { agent: victim.agentId, instructions: 'true' });
  const { id: commandId } = await eventually(
    () => honest.heard.find(({ type, payload }) => type === 'command' && JSON.stringify(payload).includes(taskId)),
    { what: 'the command' },
  );
  return { taskId, commandId };
}

const get = async (path: string) => z.looseObject({}).parse((await plane.api('GET', `/api/v1${path}`)).body);

/** Everything that was said on the hostile connection so far has been looked at: its last word is answered. */
async function heardOut(agent: RawAgent): Promise<void> {
  const commandId = Made.parse(
    (await plane.api('POST', '/api/v1/agents/mallory/commands', { operation: 'agent.ping', timeout_seconds: 1 })).body,
  ).id;
  agent.send('command_response', { status: 'success', data: { pong: true } }, commandId);
  await eventually(
    () => agent.heard.some(({ type, payload }) => type === 'ack' && JSON.stringify(payload).includes(commandId)),
    {
      what: 'the answer to its own command',
    },
  );
}

describe('an agent', () => {
  it('is told its own commands and nobody else’s', async () => {
    const { taskId, commandId } = await taskOfVictim();
    await heardOut(hostile);
    expect(JSON.stringify(hostile.heard)).not.toContain(taskId);
    expect(JSON.stringify(hostile.heard)).not.toContain(commandId);
  });

  it('moves no command, no task and no event of another', async () => {
    const { taskId, commandId } = await taskOfVictim();
    const at = new Date().toISOString();
    const data = { task_id: taskId, state: 'failed', exit_code: 1, ended_at: at, output_bytes: 0, result_bytes: 0 };
    hostile.send('ack', { command_id: commandId, state: 'started' });
    hostile.send('event', { seq: 1, kind: 'task.state', data: { task_id: taskId, state: 'running', at } });
    hostile.send('command_response', { status: 'success', data }, commandId);
    hostile.send('command_response', { status: 'error', error: { code: 'agent_error', message: 'x' } }, commandId);
    await heardOut(hostile);
    expect(await get(`/tasks/${taskId}`)).toMatchObject({ state: 'queued', ended_at: null });
    expect(await get(`/commands/${commandId}`)).toMatchObject({ state: 'delivered', ended_at: null });
    // The word of the one whose task it is counts.
    honest.send('ack', { command_id: commandId, state: 'started' });
    await eventually(() => get(`/tasks/${taskId}`), {
      what: 'its own word',
      until: ({ state }) => state === 'starting',
    });
  });

  it('is not taken for another by naming it', async () => {
    await using asVictim = RawAgent.dial(plane.url, victim.agentId);
    await asVictim.signIn({ agentId: victim.agentId, privateKey: mallory.privateKey }, newFacts());
    expect(await asVictim.hears('auth_response')).toMatchObject({
      payload: { status: 'rejected', code: 'auth_failed' },
    });
    await using onVictimsPath = RawAgent.dial(plane.url, victim.agentId);
    await onVictimsPath.signIn(mallory, newFacts());
    expect(await onVictimsPath.hears('auth_response')).toMatchObject({ payload: { status: 'rejected' } });
    expect((await knock(plane, victim.agentId, { headers: { 'x-device-id': mallory.agentId } })).status).toBe(401);
    expect(await get(`/agents/${victim.agentId}`)).toMatchObject({ status: 'online' });
  });

  it('does not get in on another’s tunnel, with its own token or with a stolen one', async () => {
    const { taskId, commandId } = await taskOfVictim();
    honest.send('ack', { command_id: commandId, state: 'started' });
    await eventually(() => get(`/tasks/${taskId}`), { what: 'a start', until: ({ state }) => state === 'starting' });
    const reading = plane.api('GET', `/api/v1/tasks/${taskId}/output`);
    const isOpen = ({ payload }: { payload: unknown }) => JSON.stringify(payload).includes('tunnel.open');
    const told = await eventually(() => honest.heard.find((message) => message.type === 'command' && isOpen(message)), {
      what: 'tunnel.open',
    });
    const { tunnel_id: tunnelId, token } = TunnelParams.parse(
      z.object({ params: z.unknown() }).parse(told.payload).params,
    );
    const { agentId } = mallory;
    // A token that was made for another agent, shown as one's own, on one's own path and on the other's.
    expect(await refusalOf(agentId, tunnelId, { agent_id: agentId, tunnel_id: tunnelId, token })).toBe('auth_failed');
    expect(await refusalOf(victim.agentId, tunnelId, { agent_id: agentId, tunnel_id: tunnelId, token })).toBe(
      'auth_failed',
    );
    const forged = `${token.slice(0, -8)}AAAAAAAA`;
    const named = { agent_id: victim.agentId, tunnel_id: tunnelId, token: forged };
    expect(await refusalOf(victim.agentId, tunnelId, named)).toBe('auth_failed');
    honest.send('command_response', { status: 'error', error: { code: 'unsupported', message: 'no' } }, told.id);
    expect((await reading).status).toBe(503);
  });
});

describe('an agent’s credential', () => {
  it('opens no route of the API', async () => {
    const keyed: KeyedAgent = await makeRawAgent(plane, 'keyed');
    using link = await linkOf(plane.url, keyed);
    expect(link.isOpen).toBe(true);
    for (const path of ['/agents', '/tasks', `/agents/${keyed.agentId}`, '/whoami', '/events']) {
      const headers = { authorization: `Bearer ${keyed.key}` };
      expect(await plane.api('GET', `/api/v1${path}`, undefined, headers)).toMatchObject({ status: 401 });
    }
  });

  it('of one agent is refused on the path of another, before and after the upgrade', async () => {
    const one = await makeRawAgent(plane, 'key-1');
    const other = await makeRawAgent(plane, 'key-2');
    const headers = { authorization: `Bearer ${one.key}` };
    expect((await knock(plane, other.agentId, { headers })).status).toBe(401);
    using link = await dialLink(plane.url, other.agentId);
    await link.hears('hello', ({ type }) => type === 'hello');
    const facts = { version: '0.1.0', capabilities: [], journal_id: randomUUID(), last_event_seq: 0 };
    await link.say('auth', { agent_id: other.agentId, auth_token: one.key, ...facts });
    await link.hears(
      'a rejection',
      ({ type, payload }) => type === 'auth_response' && payload['status'] === 'rejected',
    );
  });

  it('is what it takes: a socket without one is told nothing but hello', async () => {
    expect((await knock(plane, randomUUID())).status).toBe(401);
    using link = await dialLink(plane.url, victim.agentId);
    await link.hears('hello', ({ type }) => type === 'hello');
    await link.say('heartbeat', {});
    await link.closed;
    expect(link.heard.map((item) => (Buffer.isBuffer(item) ? 'bytes' : item.type))).not.toContain('command');
    expect(await refusalOf(victim.agentId, randomUUID(), { agent_id: victim.agentId, token: '' })).toMatch(
      /auth_failed|protocol_error/,
    );
  });

  it('opens no other path of a WebSocket, and neither does an admin’s', async () => {
    const headers = { authorization: `Bearer ${plane.token}` };
    expect((await knock(plane, `${victim.agentId}/other`, { headers })).status).toBe(404);
    expect((await knock(plane, '../agents', { headers })).status).toBe(404);
    expect((await knock(plane, victim.agentId, { headers })).status).toBe(401);
  });
});

/** How the control plane refuses a leg that begins with this CONNECT. */
async function refusalOf(agentId: string, tunnelId: string, named: Record<string, string>): Promise<string> {
  using leg = await dialLeg(plane.url, agentId, tunnelId);
  const payload = { tunnel_id: tunnelId, protocol: 'task', version: 1, instance: randomUUID(), ...named };
  await leg.send(encodeFrame({ type: FrameType.Connect, flags: 0, channelId: 0, payload: encodeJson(payload) }));
  await leg.closed;
  const answer = leg.heard.find((item) => Buffer.isBuffer(item));
  if (answer === undefined) return 'nothing';
  return decodeJson(ErrorPayload, decodeFrame(answer).payload).code;
}
