import { WsClose } from '@drawbridge/protocol';
import { ChaosProxy, endOfTask, eventually, scaled, streamCli, TestAgent, TestControlPlane } from '@drawbridge/testkit';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { enrolRaw, newFacts, RawAgent } from './raw-agent.ts';

const Task = z.object({ id: z.string() });
const Tasks = z.object({ items: z.array(Task) });
const COOL_DOWN_MS = 30_000;

describe('revoking an agent', () => {
  it('cuts its link and a running stream within a second, and the agent stays away', async () => {
    await using plane = await TestControlPlane.start();
    await using proxy = await ChaosProxy.start({ to: plane.url });
    await using agent = await TestAgent.start({ controlPlane: plane, url: proxy.url });
    const env = { DRAWBRIDGE_URL: plane.url, DRAWBRIDGE_TOKEN: plane.token };
    const script = 'while :; do echo streaming; sleep 0.01; done';
    await using run = await streamCli(['run', agent.name, '-p', 'shell', script], { env });
    await run.waitFor(() => run.stdout.lines[9], { what: 'output', timeoutMs: 30_000 });
    const stream = await follow(plane, await onlyTask(plane));
    const { connections } = proxy;
    expect(proxy.openConnections).toBe(2); // The link and the tunnel.

    await revoke(plane, agent.name);
    const revokedAtMs = performance.now();
    await eventually(() => proxy.openConnections === 0, { what: 'link and tunnel to end' });
    expect(await stream.end, 'broken, and not completed').toBeInstanceOf(Error);
    expect(performance.now() - revokedAtMs).toBeLessThan(1000);
    expect(await run.exited(), 'nobody knows how it ended').toEqual({ code: 8, signal: null });
    expect(run.stderr.text).toContain('the agent was revoked while the command was under way');
    const rejected = await agent.waitForLog(({ msg }) => /^Auth rejected \(.+\)\. Delaying retry\.$/.test(String(msg)));
    expect(rejected).toMatchObject({ level: 'warn', waitMs: COOL_DOWN_MS });
    await agent.waitForLog(({ level, code }) => level === 'error' && code === 'auth_failed');
    expect(agent.logs.some(({ msg }) => /Scheduling backoff/.test(String(msg)))).toBe(false);

    expect(await plane.api('GET', `/api/v1/agents/${agent.name}`)).toMatchObject({ status: 404 });
    expect(await plane.api('DELETE', `/api/v1/agents/${agent.name}`)).toMatchObject({ status: 404 });
    // Somebody else may have the name now.
    await using _namesake = await TestAgent.start({ controlPlane: plane, name: agent.name });
    expect(proxy.connections, 'dials during the cool-down').toBe(connections);
    if (scaled(10) < 5) return;
    await eventually(() => proxy.connections > connections, {
      what: 'the next dial',
      timeoutMs: COOL_DOWN_MS + 10_000,
    });
    expect(performance.now() - revokedAtMs).toBeGreaterThan(COOL_DOWN_MS - 2000);
    await eventually(() => agent.logs.filter(({ waitMs }) => waitMs === COOL_DOWN_MS).length === 2, {
      what: 'the second rejection',
    });
  });

  it('cancels what the agent has never seen', async () => {
    await using plane = await TestControlPlane.start();
    await using agent = await TestAgent.start({ controlPlane: plane });
    await agent.stop();
    const task = { agent_id: agent.name, provider: 'shell', instructions: 'true', queue_if_offline: true };
    const { body } = await plane.api('POST', '/api/v1/tasks', task);
    await revoke(plane, agent.name);
    expect(await endOfTask(plane, Task.parse(body).id)).toMatchObject({ state: 'cancelled', started_at: null });
  });

  it('closes a connection with its own code, and answers the next one with 401', async () => {
    await using plane = await TestControlPlane.start();
    const identity = await enrolRaw(plane, 'wire');
    await using link = await RawAgent.connect(plane.url, identity, newFacts());
    await revoke(plane, 'wire');
    expect(await link.ended(1000)).toEqual({ code: WsClose.Revoked, reason: '403 agent revoked' });
    await using next = RawAgent.dial(plane.url, identity.agentId);
    expect(await next.refused()).toBe(401);
  });

  it('leaves no connection that was made at the same moment', async () => {
    await using plane = await TestControlPlane.start();
    for (let round = 1; round <= scaled(40); round += 1) {
      const identity = await enrolRaw(plane, 'racer');
      await using link = RawAgent.dial(plane.url, identity.agentId);
      await link.hears('hello');
      await Promise.all([link.signIn(identity, newFacts()), revoke(plane, 'racer')]);
      await link.ended(1000);
    }
  });
});

async function revoke(plane: TestControlPlane, name: string): Promise<void> {
  expect(await plane.api('DELETE', `/api/v1/agents/${name}`)).toMatchObject({ status: 204 });
}

async function onlyTask(plane: TestControlPlane): Promise<string> {
  const { items } = Tasks.parse((await plane.api('GET', '/api/v1/tasks')).body);
  expect(items).toHaveLength(1);
  return items[0]?.id ?? '';
}

/** Reads a task's output; `end` resolves to why the stream broke, or to nothing when it was completed. */
async function follow({ url, token }: TestControlPlane, taskId: string): Promise<{ readonly end: Promise<unknown> }> {
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(new URL(`/api/v1/tasks/${taskId}/output?follow=true`, url), { headers });
  const drained = response.body?.pipeTo(new WritableStream()) ?? Promise.resolve();
  return { end: drained.catch((error: unknown) => error) };
}
