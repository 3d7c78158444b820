import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { ApiError } from '@drawbridge/client';
import type { SessionInfo } from '@drawbridge/client';
import type { Verb } from '@drawbridge/protocol/api';
import {
  ChaosProxy,
  TestAgent,
  TestControlPlane,
  eventually,
  isAlive,
  processesUsing,
  scaled,
} from '@drawbridge/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { BRISK, clientOf } from './task-story.ts';
import { dialVia } from './tunnel-story.ts';

/** Pairs of pipes that an agent makes at a time. */
const SPARE_PIPES = 8;
const WELL_KNOWN = { ...BRISK, sessions: { shell: '/bin/sh' } } as const;

it('shows every line of a shell once while operator, agent, control plane and agent process are lost in turn', async () => {
  await using plane = await TestControlPlane.start();
  await using agentSide = await ChaosProxy.start({ to: plane.url });
  await using operatorSide = await ChaosProxy.start({ to: plane.url });
  await using agent = await TestAgent.start({ controlPlane: plane, url: agentSide.url, config: WELL_KNOWN });
  const { agentSessions } = clientOf(plane);
  const lines = scaled(4_000_000, 400_000);
  const command = `stty -onlcr -echo; echo 0; read go; seq 1 ${lines}`;
  const { session_id: id } = await agentSessions.create(agent.name, { command });
  const tunnel = { dial: dialVia(plane, operatorSide.url) };
  await using terminal = await agentSessions.attach(agent.name, id, { tunnel });

  let next: number | undefined = 0;
  let rest = '';
  const wrong: string[] = [];
  const shown = (async () => {
    for await (const { bytes, lostBytes } of terminal) {
      // Who was away for longer than the shell waits is told of what is gone: the next whole line is where it goes on.
      const isCut = lostBytes > 0;
      const parts = (isCut ? '' : rest).concat(Buffer.from(bytes).toString('latin1')).split('\n');
      rest = parts.pop() ?? '';
      if (isCut) next = parts.length > 1 ? Number(parts.splice(0, 2)[1]) + 1 : undefined;
      for (const part of parts) {
        if (next !== undefined && Number(part) !== next) wrong.push(`line ${next} is ${JSON.stringify(part)}`);
        next = Number(part) + 1;
      }
    }
  })();
  await eventually(() => next === 1, { what: 'the shell' });
  await terminal.write(Buffer.from('go\n'));
  const breaks = [
    async () => operatorSide.cut(),
    async () => agentSide.cut(),
    () => plane.restart(),
    async () => {
      await agent.kill9();
      await agent.restart();
    },
  ];
  for (const [index, breakIt] of breaks.entries()) {
    const until = Math.round((lines * (index + 1)) / (breaks.length + 2));
    await eventually(() => (next ?? 0) > until, { what: `line ${until}`, timeoutMs: 60_000 });
    await breakIt();
  }
  await shown;
  expect({ wrong, next, rest, end: terminal.end }).toEqual({
    wrong: [],
    next: lines + 1,
    rest: '',
    end: { exitCode: 0, reason: 'exited' },
  });
});

describe('a session', () => {
  let plane: TestControlPlane;
  let agent: TestAgent;
  beforeAll(async () => {
    plane = await TestControlPlane.start();
    agent = await TestAgent.start({ controlPlane: plane, config: WELL_KNOWN });
  });
  afterAll(async () => {
    await agent[Symbol.asyncDispose]();
    await plane[Symbol.asyncDispose]();
  });

  it('that another one takes over goes on, and who had it is told', async () => {
    const sessions = clientOf(plane).agentSessions;
    const { session_id: id } = await sessions.create(agent.name);
    const tunnel = { dial: dialVia(plane) };
    await using first = await sessions.attach(agent.name, id, { tunnel });
    const lostBy = drained(first).catch((error: unknown) => error);
    await expect(sessions.attach(agent.name, id, { tunnel })).rejects.toMatchObject({ code: 'already_connected' });
    await using second = await sessions.attach(agent.name, id, { tunnel, takeover: true });
    expect(await lostBy).toMatchObject({ code: 'already_connected' });
    await second.write(Buffer.from('exit 3\n'));
    await drained(second);
    expect(second.end).toMatchObject({ exitCode: 3 });
    expect(await sessions.end(agent.name, id)).toMatchObject({ state: 'exited', exit_code: 3 });
    await expect(sessions.get(agent.name, id)).rejects.toMatchObject({ code: 'session_not_found', status: 404 });
  });

  it('is attached to by a WebSocket: what was there, what comes, what is typed, and the exit', async () => {
    const { session_id: id } = await clientOf(plane).agentSessions.create(agent.name, {
      mode: 'pipe',
      command: 'echo before; read line; echo "$line" >&2; exit 42',
    });
    await untilPrinted(id, 7);
    const ws = attach(id, '?since=2');
    const heard: unknown[] = [];
    ws.on('message', (data: Buffer, isBinary) => heard.push(isBinary ? data : JSON.parse(data.toString())));
    const closed = once(ws, 'close');
    await once(ws, 'open');
    ws.send(Buffer.from('\0typed\n'));
    expect([(await closed)[0], String((await closed)[1])]).toEqual([1000, 'process exited']);
    expect(heard).toEqual([
      Buffer.concat([Buffer.from([3, 0, 0, 0, 0, 0, 0, 0, 2]), Buffer.from('fore\n')]),
      { type: 'connected', session_id: id, mode: 'pipe' },
      Buffer.from('\u0002typed\n'),
      { type: 'exit', exit_code: 42 },
    ]);
  });

  it.each([
    ['404 for a session that is not there', () => attach('4b9f2c1e-0d37-4c58-9a55-0e1c3a3f7b10'), 404],
    ['404 for an agent that is not there', () => attach('4b9f2c1e-0d37-4c58-9a55-0e1c3a3f7b10', '', 'nobody'), 404],
    ['400 for a query that makes no sense', () => attach('4b9f2c1e-0d37-4c58-9a55-0e1c3a3f7b10', '?since=x'), 400],
  ])('answers %s, before the upgrade', async (_name, open, status) => {
    expect(await refusedWith(open())).toBe(status);
  });

  it('has one writer, and viewers that cannot write', async () => {
    const sessions = clientOf(plane).agentSessions;
    const { session_id: id } = await sessions.create(agent.name, { mode: 'pipe', command: ['cat'] });
    const writer = attach(id);
    await once(writer, 'open');
    expect(await refusedWith(attach(id))).toBe(409);
    const viewer = attach(id, '?view=1');
    await once(viewer, 'open');
    viewer.send(Buffer.from('\0not this\n'));
    // Answered after what was sent before it.
    const ponged = once(viewer, 'message');
    viewer.send('{"type":"ping"}');
    await ponged;
    writer.send(Buffer.from('\0this\n'));
    await untilPrinted(id, 5);
    expect(await sessions.get(agent.name, id)).toMatchObject({ viewers: 2, output_bytes: 5 });
    const evicted = once(writer, 'close');
    const second = attach(id, '?takeover=1');
    await once(second, 'open');
    expect([(await evicted)[0], String((await evicted)[1])]).toEqual([4001, 'TAKEN_OVER']);
    const over = Promise.all([once(second, 'close'), once(viewer, 'close')]);
    expect(await sessions.end(agent.name, id)).toMatchObject({ state: 'exited' });
    expect((await over).map(([code]) => code)).toEqual([1000, 1000]);
  });

  it.each([
    { may: ['agent.read', 'terminal.observe'], list: 200, begin: 403, view: 'open', write: 403, tunnel: 403 },
    { may: ['agent.read', 'tunnel.open'], list: 403, begin: 403, view: 403, write: 403, tunnel: 403 },
    { may: ['agent.read'], list: 403, begin: 403, view: 403, write: 403, tunnel: 403 },
    { may: ['task.read'], list: 404, begin: 404, view: 404, write: 404, tunnel: 404 },
  ] as const)('is to who may $may what that says', async ({ may, list, begin, view, write, tunnel }) => {
    const { session_id: id } = await clientOf(plane).agentSessions.create(agent.name, {
      mode: 'pipe',
      command: ['cat'],
    });
    const { token } = await tokenFor(may);
    const client = clientOf({ url: plane.url, token });
    const statusOf = (asked: Promise<unknown>) =>
      asked.then(
        () => 200,
        (error: unknown) => (error instanceof ApiError ? error.status : error),
      );
    expect(await statusOf(client.agentSessions.list(agent.name))).toBe(list);
    expect(await statusOf(client.agentSessions.create(agent.name))).toBe(begin);
    expect(await statusOf(client.agentSessions.end(agent.name, id))).toBe(begin);
    expect(await statusOf(client.requestTunnel({ agent_id: agent.name, protocol: 'session' }))).toBe(tunnel);
    expect(await refusedWith(attach(id, '', agent.name, token))).toBe(write);
    const viewer = attach(id, '?view=1', agent.name, token);
    if (view === 'open') {
      await once(viewer, 'open');
      viewer.close();
    } else expect(await refusedWith(viewer)).toBe(view);
    await clientOf(plane).agentSessions.end(agent.name, id);
  });

  it('is cut off from who may not look any more', async () => {
    const sessions = clientOf(plane).agentSessions;
    const { session_id: id } = await sessions.create(agent.name, { mode: 'pipe', command: ['cat'] });
    const issued = await tokenFor(['agent.read', 'terminal.observe']);
    const viewer = attach(id, '?view=1', agent.name, issued.token);
    await once(viewer, 'open');
    const closed = once(viewer, 'close');
    await clientOf(plane).tokens.revoke(issued.id);
    expect((await closed)[0]).toBe(1008);
    expect(await sessions.end(agent.name, id)).toMatchObject({ state: 'exited' });
  });

  it(`${scaled(500, 20)} times begun and ended leaves no process, descriptor or place behind`, async () => {
    const sessions = clientOf(plane).agentSessions;
    const count = scaled(500, 20);
    const hostPid = await sessionHostPid();
    const before = descriptors(hostPid);
    const pids: number[] = [];
    for (let index = 0; index < count; index += 1) {
      const mode = index % 2 === 0 ? 'pty' : 'pipe';
      const { session_id: id, pid } = await sessions.create(agent.name, { mode });
      pids.push(pid);
      await sessions.end(agent.name, id);
    }
    expect(pids.filter(isAlive)).toEqual([]);
    // Pipes are made ahead, for the sessions to come.
    expect(descriptors(hostPid)).toBeLessThanOrEqual(before + 4 * SPARE_PIPES);
    expect((await sessions.list(agent.name)).filter(({ pid }) => pids.includes(pid))).toEqual([]);
  });

  async function untilPrinted(id: string, bytes: number): Promise<SessionInfo> {
    const { agentSessions } = clientOf(plane);
    return eventually(() => agentSessions.get(agent.name, id), {
      what: `${bytes} bytes of output`,
      until: (session) => session.output_bytes >= bytes,
    });
  }

  function attach(id: string, query = '', name = agent.name, token = plane.token): WebSocket {
    const path = `/api/v1/agents/${name}/sessions/${id}/attach${query}`;
    const url = new URL(path, plane.url.replace('http', 'ws'));
    return new WebSocket(url, { headers: { authorization: `Bearer ${token}` } });
  }

  async function tokenFor(verbs: readonly Verb[]): Promise<{ id: string; token: string }> {
    return clientOf(plane).tokens.create({ name: verbs.join('_'), verbs, expiresInSeconds: 3600 });
  }

  async function sessionHostPid(): Promise<number> {
    const sessions = clientOf(plane).agentSessions;
    const { session_id: id } = await sessions.create(agent.name);
    await sessions.end(agent.name, id);
    const host = processesUsing(agent.dataDir).find((pid) => pid !== agent.pid);
    if (host === undefined) throw new Error('there is no session host');
    return host;
  }
});

async function refusedWith(ws: WebSocket): Promise<number | undefined> {
  ws.on('error', () => undefined);
  const [, response] = await once(ws, 'unexpected-response');
  ws.terminate();
  return response.statusCode;
}

function descriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

async function drained(terminal: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of terminal);
}
