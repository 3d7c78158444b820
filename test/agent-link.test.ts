import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { systemClock } from '@drawbridge/link';
import { createLogger } from '@drawbridge/runtime';
import { TempDir, eventually, listeningPort } from '@drawbridge/testkit';
import { memoryLog } from '@drawbridge/runtime/testing';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { z } from 'zod';
import { loadAgentConfig } from '../apps/agent/src/config.ts';
import { enrol } from '../apps/agent/src/identity/enrol.ts';
import { DeviceKey } from '../apps/agent/src/identity/identity.ts';
import type { IdentityFile } from '../apps/agent/src/identity/identity.ts';
import { Journal } from '../apps/agent/src/journal/journal.ts';
import type { AgentLink } from '../apps/agent/src/link/agent-link.ts';
import { dialLink } from '../apps/agent/src/link/dial-link.ts';
import type { ServerAccess } from '../apps/agent/src/link/dial-link.ts';
import { LinkKeeper } from '../apps/agent/src/link/keep-linked.ts';
import type { LinkUser } from '../apps/agent/src/link/keep-linked.ts';
import { loadServerConfig } from '../apps/control-plane/src/config.ts';
import type { ServerConfig } from '../apps/control-plane/src/config.ts';
import { startControlPlane } from '../apps/control-plane/src/control-plane.ts';
import type { ControlPlane } from '../apps/control-plane/src/control-plane.ts';

const { signal } = new AbortController();
const FACTS = { version: '0', capabilities: [], journal_id: randomUUID(), last_event_seq: 0 };

let dir: TempDir;
let server: ControlPlane;
let adminToken: string;
let identity: IdentityFile;
beforeEach(async () => {
  dir = await TempDir.make();
  const config = loadServerConfig({ env: {}, overrides: { listen: { port: 0 } } });
  adminToken = `dbt_${randomBytes(24).toString('hex')}`;
  const bootstrapFile = dir.join('token');
  await writeFile(bootstrapFile, adminToken);
  server = await start(config, 'server', bootstrapFile);
  identity = await enrol(await enrolment(), signal);
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await dir[Symbol.asyncDispose]();
});

function start(config: ServerConfig, name: string, bootstrapFile?: string): Promise<ControlPlane> {
  return startControlPlane({ config, dataDir: dir.join(name), log: createLogger({ level: 'silent' }), bootstrapFile });
}

async function post(path: string): Promise<unknown> {
  const headers = { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' };
  const response = await fetch(new URL(path, server.url), { method: 'POST', headers, body: '{}' });
  return response.json();
}

async function enrolment(name = 'build-1') {
  const { token } = z.object({ token: z.string() }).parse(await post('/api/v1/join-tokens'));
  return { url: server.url, token, name, labels: {}, tls: {} };
}

function access(more: Partial<ServerAccess> = {}): ServerAccess {
  return {
    url: server.url,
    agentId: identity.agent_id,
    credential: { kind: 'device-key', key: DeviceKey.parse(identity.private_key) },
    serverKey: identity.server_key,
    tls: {},
    proxy: undefined,
    noProxy: undefined,
    ...more,
  };
}

it('shows the join token to nobody who does not hold the key it names', async () => {
  const options = await enrolment('other');
  const [id, secret] = options.token.split('.');
  const forged = { ...options, token: `${id}.${secret}.${'A'.repeat(43)}` };
  await expect(enrol(forged, signal)).rejects.toMatchObject({ code: 'server_key_mismatch' });
  await expect(enrol({ ...options, token: 'nonsense' }, signal)).rejects.toMatchObject({ code: 'join_token_invalid' });
  expect(await enrol(options, signal)).toMatchObject({ name: 'other', server_id: identity.server_id });
});

it('signs in, and gets the next epoch each time', async () => {
  const first = await dialLink(access(), FACTS, systemClock, signal);
  expect(first.accepted).toMatchObject({ epoch: 1, last_event_seq: 0, config: { heartbeat_interval: 20 } });
  expect(first.hello.server_id).toBe(identity.server_id);
  const second = await dialLink(access(), FACTS, systemClock, signal);
  expect(second.accepted.epoch).toBe(2);
  first.socket.terminate();
  second.socket.terminate();
});

it.each<[string, () => Partial<ServerAccess>, object]>([
  [
    'a control plane with another key',
    () => ({ serverKey: DeviceKey.generate().publicKey }),
    { code: 'server_key_mismatch' },
  ],
  [
    'a device key of somebody else',
    () => ({ credential: { kind: 'device-key', key: DeviceKey.generate() } }),
    { code: 'auth_failed' },
  ],
  ['an API key that is none', () => ({ credential: { kind: 'api-key', reveal: () => 'dbk_x' } }), { kind: 'http' }],
  ['an agent nobody knows', () => ({ agentId: randomUUID() }), {}],
])('is rejected, for good, with %s', async (_name, change, expected) => {
  const dialled = dialLink(access(change()), FACTS, systemClock, signal);
  await expect(dialled).rejects.toMatchObject({ httpStatus: 401, ...expected });
});

it('is rejected once it was revoked', async () => {
  await fetch(new URL(`/api/v1/agents/${identity.agent_id}`, server.url), {
    method: 'DELETE',
    headers: { authorization: `Bearer ${adminToken}` },
  });
  await expect(dialLink(access(), FACTS, systemClock, signal)).rejects.toMatchObject({ httpStatus: 401 });
});

/** A keeper with a journal of its own, and what its user was told. */
function keeper() {
  const journal = Journal.open(dir.join(`${randomUUID()}.db`), () => 0);
  const { log, lines } = memoryLog();
  const told: string[] = [];
  const links: AgentLink[] = [];
  const user: LinkUser = {
    message: ({ type }) => told.push(type),
    health: () => ({}),
    journalReplaced: () => told.push('journal replaced'),
    linkUp: (link) => told.push('up') && links.push(link),
    linkDown: () => told.push('down'),
  };
  const config = loadAgentConfig({ env: {}, overrides: { reconnection: { base_delay: 0.01, max_delay: 0.01 } } });
  const options = { access: access(), config, journal, user, clock: systemClock, log, capabilities: [] };
  const stop = new AbortController();
  const running = new LinkKeeper(options).run(stop.signal).catch((error: unknown) => error);
  return {
    journal,
    told,
    links,
    lines,
    stop: async () => {
      stop.abort(new Error('stop'));
      expect(await running).toMatchObject({ message: 'stop' });
      journal[Symbol.dispose]();
    },
  };
}

it('links again when its link is cut, and stops with the reason it was given', async () => {
  const agent = keeper();
  const first = await eventually(() => agent.links[0], { what: 'a link' });
  first.close('cut');
  await eventually(() => agent.links[1], { what: 'another link' });
  await agent.stop();
  expect(agent.told).toEqual(['up', 'down', 'up', 'down']);
  expect(agent.lines.map(({ msg }) => msg)).toEqual(
    expect.arrayContaining([
      'Relay channel established',
      expect.stringMatching(/^Channel closed \(.+\)\. Scheduling backoff\.$/),
    ]),
  );
});

it('gives way to a newer connection of the same agent', async () => {
  const agent = keeper();
  await eventually(() => agent.links[0], { what: 'a link' });
  const newer = await dialLink(access(), FACTS, systemClock, signal);
  const lost = await eventually(() => agent.lines.find(({ kind }) => kind === 'superseded'), { what: 'its loss' });
  expect(lost).toMatchObject({ waitMs: 60_000 });
  newer.socket.terminate();
  await agent.stop();
});

it('goes on under a new journal id when its journal is an old copy', async () => {
  const agent = keeper();
  const link = await eventually(() => agent.links[0], { what: 'a link' });
  const copied = agent.journal.journalId;
  // The control plane stores an event that the copy, to which the agent goes back now, does not hold.
  link.send('event', { seq: 5, kind: 'warning', data: {} });
  await eventually(() => agent.told.includes('ack'), { what: 'the ack' });
  link.close('cut');
  await eventually(() => agent.links[1], { what: 'another link' });
  expect(agent.journal.journalId).not.toBe(copied);
  expect(agent.told).toEqual(['up', 'ack', 'down', 'journal replaced', 'up']);
  await agent.stop();
});

it('shows who it is in the handshake, under a new session id for every attempt', async () => {
  const seen: IncomingHttpHeaders[] = [];
  const fake = createServer();
  fake.on('upgrade', (request, socket) => {
    seen.push(request.headers);
    socket.destroy();
  });
  await once(fake.listen(0, '127.0.0.1'), 'listening');
  const port = listeningPort(fake);
  for (let attempt = 0; attempt < 2; attempt += 1) {
    const dialled = dialLink(access({ url: `http://127.0.0.1:${port}` }), FACTS, systemClock, signal);
    await expect(dialled).rejects.toThrow(/127\.0\.0\.1/);
  }
  fake.close();
  expect(seen.map((headers) => headers['x-device-id'])).toEqual([identity.agent_id, identity.agent_id]);
  const sessionIds = seen.map((headers) => z.uuid().parse(headers['x-session-id']));
  expect(new Set(sessionIds).size).toBe(2);
});

it('says what broke the transport, and backs off', async () => {
  const agent = keeper();
  const link = await eventually(() => agent.links[0], { what: 'a link' });
  await server[Symbol.asyncDispose]();
  await link.ended;
  const said = await eventually(() => agent.lines.find(({ level }) => level === 'error'), { what: 'the failed dial' });
  expect(said['msg']).toMatch(/^Transport error: .*ECONNREFUSED/);
  await agent.stop();
});

it('is turned away while agent mode is off', async () => {
  const config = loadServerConfig({
    env: {},
    overrides: { listen: { port: 0 }, agents: { enable_agent_mode: false } },
  });
  await using off = await start(config, 'off');
  const dialled = dialLink(access({ url: off.url }), FACTS, systemClock, signal);
  await expect(dialled).rejects.toMatchObject({ httpStatus: 503, retryAfterMs: 5_000 });
});

it('is turned away from an address that is not on the list', async () => {
  const agents = { ip_allowlist: ['192.0.2.0/24'] };
  const config = loadServerConfig({ env: {}, overrides: { listen: { port: 0 }, agents } });
  await using strict = await start(config, 'strict');
  const dialled = dialLink(access({ url: strict.url }), FACTS, systemClock, signal);
  await expect(dialled).rejects.toMatchObject({ httpStatus: 403 });
});
