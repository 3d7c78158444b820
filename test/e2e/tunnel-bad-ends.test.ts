import { once } from 'node:events';
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:net';
import { UnsecuredJWT, SignJWT, generateKeyPair } from 'jose';
import { CloseReason, ClosePayload, FrameFlag, FrameType, LIMITS, decodeJson, encodeU32 } from '@drawbridge/protocol';
import type { IssuedTunnel } from '@drawbridge/protocol/api';
import {
  eventually,
  listeningPort,
  memoryOf,
  scaled,
  TestAgent,
  TestControlPlane,
  withSeed,
} from '@drawbridge/testkit';
import type { LogLine } from '@drawbridge/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { makeUser, PASSWORD } from './cli-user.ts';
import { ask } from './edge-requests.ts';
import { randomFrame } from './garbage-values.ts';
import { Echo, EchoServer, freshToken, lease, RawOperator, tunnelRecords, viewOf } from './tunnel-operator.ts';
import { tunnelUser } from './tunnel-story.ts';

const RANDOM_FRAMES = scaled(5000, 500);
/** By then almost every tunnel has ended. */
const FRAMES_OF_ONE = 50;
const MIB = 1024 * 1024;
const STALLED_CHANNELS = 12;
/** Twelve full windows would be 192 MiB. */
const GROWTH_BYTES_MAX = 60 * MIB;

const parts = new AsyncDisposableStack();
let plane: TestControlPlane;
let agent: TestAgent;
let other: TestAgent;
let echo: EchoServer;
beforeAll(async () => {
  plane = parts.use(await TestControlPlane.start());
  agent = parts.use(await TestAgent.start({ controlPlane: plane }));
  other = parts.use(await TestAgent.start({ controlPlane: plane }));
  echo = parts.use(await EchoServer.start());
});
afterAll(() => parts.disposeAsync());

const makeLease = (): Promise<IssuedTunnel> => lease(plane, { agent_id: agent.agentId, protocol: 'tcp' });
const end = ({ tunnel_id: id }: IssuedTunnel) => plane.api('DELETE', `/api/tunnel/${id}`);

describe('a token', () => {
  const payloadOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
  const resigned = async (token: string) => {
    const { privateKey } = await generateKeyPair('EdDSA');
    return new SignJWT(payloadOf(token)).setProtectedHeader({ alg: 'EdDSA', typ: 'tunnel+jwt' }).sign(privateKey);
  };

  it.each<[what: string, make: (lease: IssuedTunnel) => string | Promise<string>]>([
    ['that is none', () => 'garbage'],
    ['for another tunnel', async () => (await makeLease()).token],
    ['without a signature', ({ token }) => new UnsecuredJWT(payloadOf(token)).encode()],
    ['signed by another key', ({ token }) => resigned(token)],
    ['of another agent', async () => (await lease(plane, { agent_id: other.agentId, protocol: 'tcp' })).token],
    [
      'that was used before',
      async (issued) => {
        using first = await RawOperator.dial(plane, issued);
        await first.connect(issued.token);
        await first.hears(FrameType.ConnectAck);
        return issued.token;
      },
    ],
  ])('%s is refused and recorded, and told to nobody', async (_what, make) => {
    const issued = await makeLease();
    const token = await make(issued);
    using operator = await RawOperator.dial(plane, issued);
    await operator.connect(token);
    expect(await operator.refusal()).toEqual({ said: 'auth_failed', code: 1008, reason: 'auth_failed' });
    const ofIt = async () =>
      (await tunnelRecords(plane, agent.agentId)).filter(({ details }) => details?.['tunnel_id'] === issued.tunnel_id);
    const denied = await eventually(async () => (await ofIt()).find(({ result }) => result === 'denied'), {
      what: 'the record of the refusal',
    });
    expect(denied).toMatchObject({ verb: 'tunnel.attach', reason: 'auth_failed', details: { leg: 'operator' } });
    expect(denied.actor).toMatch(/^(token|user):/);
    await plane.waitForLog(({ msg, tunnelId }) => msg === 'tunnel leg refused' && tunnelId === issued.tunnel_id);
    const told = JSON.stringify([await ofIt(), plane.logs, agent.logs]);
    for (const secret of [issued.token, token]) {
      const [, claims = secret, signature = ''] = secret.split('.');
      for (const part of [claims, signature].filter((text) => text.length > 20)) expect(told).not.toContain(part);
    }
    expect(await viewOf(plane, issued.tunnel_id)).toMatchObject({ ended_at: null });
    await end(issued);
  });

  it('of before a restart of the control plane is refused, a fresh one is not', async () => {
    await using own = await TestControlPlane.start();
    await using its = await TestAgent.start({ controlPlane: own });
    const issued = await lease(own, { agent_id: its.agentId, protocol: 'tcp' });
    await own.restart();
    using before = await RawOperator.dial(own, issued);
    await before.connect(issued.token);
    expect(await before.refusal()).toMatchObject({ said: 'auth_failed', code: 1008 });
    using after = await RawOperator.dial(own, issued);
    await after.connect(await freshToken(own, issued.tunnel_id));
    await after.hears(FrameType.ConnectAck);
  });
});

describe('an operator', () => {
  it('is turned away before the WebSocket: without a sign-in, from a foreign page, at a tunnel of nobody or of another', async () => {
    const issued = await makeLease();
    const dial = (headers?: Record<string, string>, of = issued) => RawOperator.dial(plane, of, headers);
    await expect(dial({ origin: plane.url })).rejects.toThrow('HTTP 401');
    await expect(dial({})).rejects.toThrow('HTTP 401');
    await expect(dial({ authorization: 'Bearer dbt_guessed' })).rejects.toThrow('HTTP 401');
    // Nobody's token opens no name that is not ours.
    const host = 'evil.example';
    await expect(dial({ authorization: 'Bearer dbt_guessed', host })).rejects.toThrow('HTTP 403');
    using named = await dial({ authorization: `Bearer ${plane.token}`, host });
    expect(named.socket.isOpen).toBe(true);
    const cookie = await cookieOf();
    await expect(dial({ cookie, origin: 'https://evil.example' })).rejects.toThrow('HTTP 403');
    await expect(dial({ cookie })).rejects.toThrow('HTTP 403');
    using page = await dial({ cookie, origin: plane.url });
    expect(page.socket.isOpen).toBe(true);
    await expect(dial(undefined, { ...issued, tunnel_id: randomUUID() })).rejects.toThrow('HTTP 404');
    await makeUser(plane, 'bob', 'operator');
    const bob = await plane.api('POST', '/api/v1/sessions', { user: 'bob', password: PASSWORD });
    const authorization = `Bearer ${z.object({ token: z.string() }).parse(bob.body).token}`;
    await expect(dial({ authorization })).rejects.toThrow('HTTP 409');
    await makeUser(plane, 'eve', 'viewer');
    const eve = await plane.api('POST', '/api/v1/sessions', { user: 'eve', password: PASSWORD });
    const viewer = `Bearer ${z.object({ token: z.string() }).parse(eve.body).token}`;
    await expect(dial({ authorization: viewer })).rejects.toThrow('HTTP 403');
    await end(issued);
    await expect(dial()).rejects.toThrow('HTTP 404');
  });

  async function cookieOf(): Promise<string> {
    const { body } = await plane.api('POST', '/api/v1/sign-in-links', {});
    const code = new URL(z.object({ url: z.string() }).parse(body).url).hash.slice(1);
    const signedIn = await ask(plane, { method: 'POST', path: '/api/v1/sign-in', body: { code } });
    return signedIn.headers['set-cookie']?.[0]?.split(';', 1)[0] ?? '';
  }
});

describe('a frame', () => {
  it('may hold 65 536 bytes and not one more', async () => {
    const issued = await makeLease();
    using operator = await RawOperator.open(plane, issued);
    await operator.openChannel(1, echo.port, MIB);
    const payload = Buffer.alloc(LIMITS.framePayloadBytesMax, 7);
    await operator.say({ type: FrameType.Data, flags: 0, channelId: 1, payload });
    const heard = () =>
      operator.frames
        .filter(({ type }) => type === FrameType.Data)
        .reduce((sum, frame) => sum + frame.payload.length, 0);
    await eventually(() => heard() === payload.length, { what: 'the echo of 65 536 bytes' });
    const header = Buffer.from([1, FrameType.Data, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    header.writeUInt32LE(payload.length + 1, 8);
    await operator.socket.send(Buffer.concat([header, payload, Buffer.alloc(1)]));
    expect(await operator.socket.closed).toMatchObject({ code: 1009 });
    await eventually(() => viewOf(plane, issued.tunnel_id), {
      what: 'the end of the lease',
      until: ({ close_code: closed }) => closed === CloseReason.ProtocolError,
    });
    const isIt = ({ msg, tunnelId }: LogLine) => msg === 'tunnel closed' && tunnelId === issued.tunnel_id;
    expect(await agent.waitForLog(isIt)).toMatchObject({ code: CloseReason.ProtocolError });
  });

  it.each<[string, string | Uint8Array, number]>([
    ['text', 'hello', 1003],
    ['of an unknown type', Buffer.from([1, 99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), 1002],
    ['whose length is wrong', Buffer.from([1, FrameType.Data, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0]), 1002],
  ])('%s ends the tunnel with CLOSE 3, for both ends, and no other', async (_what, bytes, code) => {
    await using bystander = await tunnelUser(plane).open({ agent_id: agent.agentId, protocol: 'tcp' });
    const talk = new Echo(await bystander.channel({ port: echo.port }));
    await talk.says('before ');
    const issued = await makeLease();
    using operator = await RawOperator.open(plane, issued);
    await operator.socket.send(bytes);
    const close = await operator.hears(FrameType.Close);
    expect(decodeJson(ClosePayload, close.payload)).toMatchObject({ code: CloseReason.ProtocolError });
    expect(await operator.socket.closed).toMatchObject({ code });
    await eventually(() => viewOf(plane, issued.tunnel_id), {
      what: 'the end of the lease',
      until: ({ close_code: closed }) => closed === CloseReason.ProtocolError,
    });
    await agent.waitForLog(({ msg, tunnelId }) => msg === 'tunnel closed' && tunnelId === issued.tunnel_id);
    await talk.says('after');
  });

  it('at random ends its own tunnel at most', async () => {
    await using bystander = await tunnelUser(plane).open({ agent_id: agent.agentId, protocol: 'tcp' });
    const talk = new Echo(await bystander.channel({ port: echo.port }));
    const rssBytes = memoryOf(plane.pid).rssBytes;
    await withSeed(async (random) => {
      for (let sent = 0; sent < RANDOM_FRAMES; sent += FRAMES_OF_ONE) {
        const issued = await makeLease();
        using operator = await RawOperator.open(plane, issued);
        await operator.openChannel(1, echo.port, MIB);
        for (let count = 0; count < FRAMES_OF_ONE; count += 1) await operator.socket.send(randomFrame(random));
        await end(issued);
        await talk.says(`${sent} `);
      }
    });
    expect(memoryOf(plane.pid).rssBytes - rssBytes).toBeLessThan(GROWTH_BYTES_MAX);
    expect(agent.logs.some(({ level }) => level === 'error' || level === 'fatal')).toBe(false);
  });
});

it('keeps what an operator does not read at the agent: little memory, and another tunnel goes on', async () => {
  let sent = 0;
  const source = createServer((socket) => {
    socket.on('error', () => undefined);
    const chunk = Buffer.alloc(65_536);
    const more = () => {
      while (!socket.destroyed && socket.write(chunk, () => (sent += chunk.length)));
      socket.once('drain', more);
    };
    more();
  });
  await once(source.listen(0, '127.0.0.1'), 'listening');
  const issued = await makeLease();
  using operator = await RawOperator.open(plane, issued);
  const rssBytes = memoryOf(plane.pid).rssBytes;
  for (let index = 0; index < STALLED_CHANNELS; index += 1)
    await operator.openChannel(index * 2 + 1, listeningPort(source), 1);
  operator.socket.pause();
  for (let index = 0; index < STALLED_CHANNELS; index += 1) {
    const payload = encodeU32(LIMITS.windowBytesMax - 1);
    await operator.say({ type: FrameType.WindowUpdate, flags: 0, channelId: index * 2 + 1, payload });
  }
  // It no longer grows: what nobody takes is nowhere but in the buffers on the way.
  let before = -1;
  await eventually(
    () => {
      const isHeld = sent > MIB && sent === before;
      before = sent;
      return isHeld;
    },
    { what: 'the source to be held', timeoutMs: 30_000 },
  );
  await using bystander = await tunnelUser(plane).open({ agent_id: agent.agentId, protocol: 'tcp' });
  const talk = new Echo(await bystander.channel({ port: echo.port }));
  for (let round = 0; round < 20; round += 1) await talk.says(`round ${round} `, 5000);
  expect(memoryOf(plane.pid).rssBytes - rssBytes).toBeLessThan(GROWTH_BYTES_MAX);
  await end(issued);
  source.close();
});

it('asks an end at once whether it is there, and answers the same question', async () => {
  const issued = await makeLease();
  using operator = await RawOperator.open(plane, issued);
  await operator.hears(FrameType.Heartbeat);
  const payload = Buffer.from('my beat!');
  await operator.say({ type: FrameType.Heartbeat, flags: 0, channelId: 0, payload });
  expect(Buffer.from((await operator.hears(FrameType.Heartbeat, 0, FrameFlag.Ack)).payload)).toEqual(payload);
  await end(issued);
});

it('asks that one agent, and no other', async () => {
  const from = other.logs.length;
  const issued = await makeLease();
  using operator = await RawOperator.open(plane, issued);
  await end(issued);
  await operator.hears(FrameType.Close);
  await agent.waitForLog(({ msg, tunnelId }) => msg === 'tunnel closed' && tunnelId === issued.tunnel_id);
  expect(JSON.stringify(agent.logs)).toContain(issued.tunnel_id);
  expect(JSON.stringify(other.logs.slice(from))).not.toContain(issued.tunnel_id);
  const { body } = await plane.api('GET', `/api/v1/audit?agent=${other.agentId}&limit=100`);
  expect(JSON.stringify(body)).not.toContain(issued.tunnel_id);
});

it('tells of a tunnel, in the audit log and in the activity of its agent, who began, came, went and ended it, and why', async () => {
  const issued = await makeLease();
  const operator = await RawOperator.open(plane, issued);
  operator[Symbol.dispose]();
  await eventually(() => viewOf(plane, issued.tunnel_id), {
    what: 'the operator to be gone',
    until: ({ legs }) => !legs.operator,
  });
  await end(issued);
  const told = async () => {
    const records = await tunnelRecords(plane, agent.agentId);
    return records.filter(({ details }) => details?.['tunnel_id'] === issued.tunnel_id);
  };
  const records = await eventually(told, {
    what: 'the end in the audit log',
    until: (all) => all.some(({ details }) => details?.['close_code'] !== undefined),
  });
  const who = { actor: expect.stringMatching(/^token:/), actor_name: 'admin/bootstrap', agent_id: agent.agentId };
  const found = (verb: string, leg?: string) =>
    records.find((record) => record.verb === verb && record.details?.['leg'] === leg);
  expect(found('tunnel.open')).toMatchObject({ ...who, details: { protocol: 'tcp', state: 'pending' } });
  expect(found('tunnel.attach', 'operator')).toMatchObject(who);
  expect(found('tunnel.attach', 'agent')).toMatchObject({ actor: `agent:${agent.agentId}` });
  expect(found('tunnel.detach', 'operator')).toMatchObject({ ...who, reason: expect.stringMatching(/^1006/) });
  const details = { close_code: CloseReason.Cancelled };
  expect(records.filter(({ verb }) => verb === 'tunnel.close')).toHaveLength(1);
  expect(found('tunnel.close')).toMatchObject({
    ...who,
    reason: 'closed by its operator',
    details,
    address: '127.0.0.1',
  });
  const { body } = await plane.api('GET', `/api/v1/agents/${agent.agentId}/activity?limit=100`);
  const activity = JSON.stringify(body);
  for (const { id } of records) expect(activity).toContain(id);
});
