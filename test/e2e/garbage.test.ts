import { encodeFrame, encodeJson, FrameType } from '@drawbridge/protocol';
import { eventually, scaled, startTask, withSeed } from '@drawbridge/testkit';
import type { TestAgent, TestControlPlane } from '@drawbridge/testkit';
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { authOf, deviceToken, dialLeg, dialLink, linkOf } from './garbage-agent.ts';
import type { RawAgent } from './garbage-agent.ts';
import type { RawSocket } from './garbage-socket.ts';
import { randomFrame, randomMessage } from './garbage-values.ts';
import { GarbageWorld } from './garbage-world.ts';

const MESSAGES = scaled(10_000, 1000);
const MESSAGE_BYTES_MAX = 256 * 1024;

let world: GarbageWorld;
let controlPlane: TestControlPlane;
let agent: TestAgent;
let raw: RawAgent;
beforeAll(async () => {
  world = await GarbageWorld.start();
  ({ controlPlane, agent, raw } = world);
});
afterAll(() => world[Symbol.asyncDispose]());
afterEach(() => world.expectUnharmed());

describe('the control link', () => {
  it.each([
    ['binary where text is expected', Buffer.from('{}'), 1003],
    ['no JSON', 'hello', 1007],
    ['more than 256 KiB', 'x'.repeat(MESSAGE_BYTES_MAX + 1), 1009],
  ])('is closed for %s, before auth and after', async (_what, garbage, code) => {
    using stranger = await dialLink(controlPlane.url, raw.agentId);
    await stranger.send(garbage);
    expect(await stranger.closed).toMatchObject({ code });
    using link = await linkOf(controlPlane.url, raw);
    await link.send(garbage);
    expect(await link.closed).toMatchObject({ code });
  });

  it('stays open for an unknown type and a malformed payload, and names the message', async () => {
    using link = await linkOf(controlPlane.url, raw);
    const garbage = [
      { type: 'surprise', payload: {} },
      { type: 'event', payload: { seq: 'one' } },
      { type: 'heartbeat', payload: 7 },
      { type: 'ack', payload: null },
    ];
    for (const { type, payload } of garbage) {
      const id = await link.say(type, payload);
      const { payload: error } = await link.hears(
        'an error',
        ({ type, payload }) => type === 'error' && payload['ref'] === id,
      );
      expect(error).toMatchObject({ code: 'invalid_message' });
    }
    const beat = await link.say('heartbeat', {});
    await link.hears('the answer to a heartbeat', ({ type, id }) => type === 'heartbeat' && id === beat);
  });

  it('is closed with 1008 when auth does not come within ten seconds', async () => {
    using stranger = await dialLink(controlPlane.url, raw.agentId);
    expect(await stranger.closed).toEqual({ code: 1008, reason: 'auth timeout' });
  });

  it.each([
    ['another message first', 'heartbeat', () => ({})],
    ['another agent', 'auth', () => ({ ...authOf(raw), agent_id: agent.agentId })],
    ['a wrong key', 'auth', () => ({ ...authOf(raw), auth_token: `dbk_${'x'.repeat(43)}` })],
    ['no token', 'auth', () => ({ ...authOf(raw), auth_token: '' })],
  ])('turns %s away with 1008 and 401', async (_what, type, payload) => {
    using stranger = await dialLink(controlPlane.url, raw.agentId);
    await stranger.say(type, payload());
    expect(await stranger.closed).toMatchObject({ code: 1008, reason: expect.stringMatching(/^401/) });
  });

  it('takes a signature over the nonce of this connection, and of no other', async () => {
    using first = await dialLink(controlPlane.url, agent.agentId);
    using second = await dialLink(controlPlane.url, agent.agentId);
    const { payload: hello } = await first.hears('hello', ({ type }) => type === 'hello');
    const token = await deviceToken(agent, hello);
    for (const [link, status] of [
      [second, 'rejected'],
      [first, 'authenticated'],
    ] as const) {
      await link.say('auth', authOf({ agentId: agent.agentId, key: token }));
      const { payload } = await link.hears('auth_response', ({ type }) => type === 'auth_response');
      expect(payload['status']).toBe(status);
    }
    expect(await second.closed).toEqual({ code: 1008, reason: '401 auth_failed' });
    // The real one was superseded by its own credential, and is not here before its cool-down is over.
    first[Symbol.dispose]();
    await agent.restart();
  });

  it('lives through ten thousand random messages', async () => {
    await withSeed(async (random) => {
      let link = await linkOf(controlPlane.url, raw);
      for (let index = 0; index < MESSAGES; index += 1) {
        if (!link.isOpen) link = await linkOf(controlPlane.url, raw);
        await link.send(randomMessage(random));
      }
      link[Symbol.dispose]();
    });
  });
});

describe('an upgrade', () => {
  it('is refused before it is accepted', async () => {
    await expect(dialLink(controlPlane.url, randomUUID())).rejects.toThrow('HTTP 401');
    await expect(dialLink(controlPlane.url, raw.agentId, { 'x-session-id': 'one' })).rejects.toThrow('HTTP 400');
    await expect(dialLink(controlPlane.url, raw.agentId, { 'x-device-id': randomUUID() })).rejects.toThrow('HTTP 401');
    await expect(dialLink(controlPlane.url, 'nobody')).rejects.toThrow('HTTP 404');
  });

  it('is refused with 429 and Retry-After when too many of an address have not said who they are', async () => {
    await using strangers = new AsyncDisposableStack();
    const dial = async () => strangers.use(await dialLink(controlPlane.url, raw.agentId));
    // All of them are awaited: one that came late would stay behind and count against the next test.
    const dialled = await Promise.allSettled(Array.from({ length: 21 }, dial));
    const refused = dialled.filter(({ status }) => status === 'rejected');
    expect(refused).toEqual([
      { status: 'rejected', reason: expect.objectContaining({ message: expect.stringMatching(/^HTTP 429 \d+$/) }) },
    ]);
  });
});

describe('a tunnel', () => {
  /** Has the control plane ask for a tunnel, as it does when somebody reads a task's output. */
  async function offered(link: RawSocket): Promise<{ tunnelId: string; token: string }> {
    const { id } = await startTask(controlPlane, { agent: raw.agentId, instructions: 'true' });
    const start = await link.hears('task.start', ({ payload }) => JSON.stringify(payload).includes(id));
    await link.say('ack', { command_id: start.id, state: 'started' });
    const at = new Date().toISOString();
    await link.say('event', { seq: (seq += 1), kind: 'task.state', data: { task_id: id, state: 'running', at } });
    await eventually(() => controlPlane.api('GET', `/api/v1/tasks/${id}`), {
      what: 'the task to run',
      until: ({ body }) => JSON.stringify(body).includes('"running"'),
    });
    controlPlane.api('GET', `/api/v1/tasks/${id}/output`).catch(() => undefined);
    const open = await link.hears('tunnel.open', ({ payload }) => payload['operation'] === 'tunnel.open');
    const { params } = open.payload;
    if (typeof params !== 'object' || params === null || !('token' in params) || !('tunnel_id' in params))
      throw new Error('no token');
    return { tunnelId: String(params.tunnel_id), token: String(params.token) };
  }
  let seq = 0;

  function connectFrame(tunnelId: string, token: string): Uint8Array {
    const payload = {
      agent_id: raw.agentId,
      tunnel_id: tunnelId,
      token,
      protocol: 'system',
      version: 1,
      instance: randomUUID(),
    };
    return encodeFrame({ type: FrameType.Connect, flags: 0, channelId: 0, payload: encodeJson(payload) });
  }

  it.each([
    ['text', () => 'hello'],
    [
      'a frame that is no CONNECT',
      () => encodeFrame({ type: FrameType.Data, flags: 0, channelId: 1, payload: Buffer.from('x') }),
    ],
    ['a wrong token', () => connectFrame(randomUUID(), 'eyJ.eyJ.x')],
    ['no frame', () => Buffer.alloc(3)],
  ])('refuses %s instead of CONNECT with 1008', async (_what, garbage) => {
    using leg = await dialLeg(controlPlane.url, raw.agentId, randomUUID());
    await leg.send(garbage());
    expect(await leg.closed).toMatchObject({ code: 1008 });
  });

  it('takes a token once, and random frames after it never more than the tunnel', async () => {
    await withSeed(async (random) => {
      using link = await linkOf(controlPlane.url, raw);
      const { tunnelId, token } = await offered(link);
      using leg = await dialLeg(controlPlane.url, raw.agentId, tunnelId);
      await leg.send(connectFrame(tunnelId, token));
      await eventually(() => leg.heard.length > 0, { what: 'CONNECT_ACK' });
      using thief = await dialLeg(controlPlane.url, raw.agentId, tunnelId);
      await thief.send(connectFrame(tunnelId, token));
      expect(await thief.closed).toMatchObject({ code: 1008, reason: 'auth_failed' });
      for (let index = 0; index < MESSAGES && leg.isOpen; index += 1) await leg.send(randomFrame(random));
      expect(await leg.closed).toMatchObject({ code: 1002 });
      expect(link.isOpen).toBe(true);
    });
  });

  it('lives through ten thousand random first frames', async () => {
    await withSeed(async (random) => {
      for (let index = 0; index < MESSAGES / 100; index += 1) {
        using leg = await dialLeg(controlPlane.url, raw.agentId, randomUUID());
        for (let frame = 0; frame < 100 && leg.isOpen; frame += 1) await leg.send(randomFrame(random));
        expect(await leg.closed).toMatchObject({ code: expect.toSatisfy((code) => code === 1008 || code === 1003) });
      }
    });
  });
});
