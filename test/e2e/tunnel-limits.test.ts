import { writeFile } from 'node:fs/promises';
import type { OperatorTunnel } from '@drawbridge/client';
import { CloseReason } from '@drawbridge/protocol';
import type { TunnelRequest } from '@drawbridge/protocol/api';
import { eventually, TempDir, TestAgent, TestControlPlane } from '@drawbridge/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EchoServer, Echo, lease, viewOf, withAgent } from './tunnel-operator.ts';
import { tunnelUser } from './tunnel-story.ts';
import type { TunnelUser } from './tunnel-story.ts';

const parts = new AsyncDisposableStack();
let plane: TestControlPlane;
let user: TunnelUser;
let echo: EchoServer;
beforeAll(async () => {
  const dir = parts.use(await TempDir.make('drawbridge-limits-'));
  const file = dir.join('drawbridge.yaml');
  await writeFile(file, JSON.stringify({ tunnels: { domains: { ps: 0, rdp_vnc_webrtc: 1 } } }));
  plane = parts.use(await TestControlPlane.start({ args: ['--config', file] }));
  echo = parts.use(await EchoServer.start());
  user = tunnelUser(plane);
});
afterAll(() => parts.disposeAsync());

const request = (body: object) => plane.api('POST', '/api/tunnel/request', body);

describe('a domain that has room for one', () => {
  it('refuses a second tunnel and names the holder, and has room again once that one is closed', async () => {
    await using agent = await TestAgent.start({ controlPlane: plane });
    const { agentId } = agent;
    await using first = await user.open({ agent_id: agentId, protocol: 'rdp' });
    await withAgent(plane, first.tunnelId);
    for (const protocol of ['rdp', 'vnc', 'webrtc']) {
      const details = { domain: protocol, limit: 1, tunnel_id: first.tunnelId };
      const refusal = { status: 409, body: { code: 'domain_limit', details } };
      expect(await request({ agent_id: agentId, protocol })).toMatchObject(refusal);
    }
    await first.close();
    await using second = await user.open({ agent_id: agentId, protocol: 'vnc' });
    expect(await withAgent(plane, second.tunnelId)).toMatchObject({ state: 'active' });
  });

  it('gives the tunnel again to who has left it, and lets the next one begin as soon as it is closed', async () => {
    await using agent = await TestAgent.start({ controlPlane: plane });
    const wanted = { agent_id: agent.agentId, protocol: 'rdp' } as const;
    for (let round = 0; round < 20; round += 1) {
      const { tunnel_id: id } = await lease(plane, wanted);
      expect((await lease(plane, wanted)).tunnel_id).toBe(id);
      await withAgent(plane, id);
      await plane.api('DELETE', `/api/tunnel/${id}`);
    }
  });
});

describe("the agent's own file", () => {
  it('limits what the control plane does not: the tunnel ends with 7, and its operator is told', async () => {
    await using agent = await TestAgent.start({ controlPlane: plane, config: { tunnels: { domains: { ps: 1 } } } });
    const wanted = { agent_id: agent.agentId, protocol: 'ps' } as const;
    await using first = await user.open(wanted);
    await withAgent(plane, first.tunnelId);
    await using second = await openBefore(agent, wanted);
    const reason = expect.stringContaining('tunnels.domains.ps: this agent allows 1 at a time');
    expect(await second.ended).toMatchObject({ code: CloseReason.DomainLimit, reason, by: 'peer' });
    const view = await viewOf(plane, second.tunnelId);
    expect(view).toMatchObject({ state: 'closed', close_code: CloseReason.DomainLimit, close_reason: reason });
    expect(await viewOf(plane, first.tunnelId)).toMatchObject({ state: 'active' });
  });

  it('denies a kind of channel: it is refused, and the tunnel stays', async () => {
    const config = { security: { operations: { deny: ['channel.tcp'] } } };
    await using agent = await TestAgent.start({ controlPlane: plane, config });
    await using denied = await user.open({ agent_id: agent.agentId, protocol: 'tcp' });
    await expect(denied.channel({ port: echo.port })).rejects.toMatchObject({ code: 'operation_not_allowed' });
    await using allowed = await user.open({ agent_id: agent.agentId, protocol: 'ssh' });
    await new Echo(await allowed.channel({ port: echo.port })).says('hello');
    expect(await viewOf(plane, denied.tunnelId)).toMatchObject({ state: 'active', channels: 0 });
  });

  it('denies tunnels altogether: the lease ends with 10, and its operator is told', async () => {
    const config = { security: { operations: { deny: ['tunnel.open'] } } };
    await using agent = await TestAgent.start({ controlPlane: plane, config });
    await using tunnel = await openBefore(agent, { agent_id: agent.agentId, protocol: 'tcp' });
    expect(await tunnel.ended).toMatchObject({ code: CloseReason.Forbidden, by: 'peer' });
  });

  it('says which targets there are: another one is forbidden, on the agent, and in its log', async () => {
    await using agent = await TestAgent.start({
      controlPlane: plane,
      config: { tunnels: { allow: [`127.0.0.1:${echo.port}`] } },
    });
    await using tunnel = await user.open({ agent_id: agent.agentId, protocol: 'tcp' });
    await expect(tunnel.channel({ port: 1 })).rejects.toMatchObject({ code: 'forbidden' });
    const line = await agent.waitForLog(({ msg }) => msg === 'target refused');
    expect(line).toMatchObject({
      tunnelId: tunnel.tunnelId,
      channelId: 1,
      reason: expect.stringContaining('127.0.0.1:1'),
    });
    await new Echo(await tunnel.channel({ port: echo.port })).says('hello');
  });

  it.each([
    '169.254.169.254',
    '2852039166',
    '0xA9FEA9FE',
    '0251.0376.0251.0376',
    '::ffff:169.254.169.254',
    '[::ffff:a9fe:a9fe]',
    '64:ff9b::a9fe:a9fe',
    'fd00:ec2::254',
    '0.0.0.0',
    '169。254。169。254',
  ])('cannot let anybody reach %s, whatever it allows', async (host) => {
    const agent = await openAgent();
    const from = agent.logs.length;
    await using tunnel = await user.open({ agent_id: agent.agentId, protocol: 'tcp' });
    await expect(tunnel.channel({ host, port: 80 })).rejects.toMatchObject({ code: 'forbidden' });
    // The same as the lease's own target: the control plane does not judge it.
    const target = { host, port: 80 };
    await using targeted = await user.open({ agent_id: agent.agentId, protocol: 'tcp', target });
    await expect(targeted.channel(target)).rejects.toMatchObject({ code: 'forbidden' });
    const refusals = () => agent.logs.slice(from).filter(({ msg }) => msg === 'target refused');
    await eventually(() => refusals().length === 2, { what: 'two lines in the log of the agent' });
    expect(agent.logs.slice(from).some(({ msg }) => msg === 'target connected')).toBe(false);
  });
});

/** A tunnel whose operator is there before its agent has heard of it. */
async function openBefore(agent: TestAgent, wanted: TunnelRequest): Promise<OperatorTunnel> {
  process.kill(agent.pid, 'SIGSTOP');
  try {
    return await user.open(wanted);
  } finally {
    process.kill(agent.pid, 'SIGCONT');
  }
}

/** One agent that allows every target there is. */
let opened: Promise<TestAgent> | undefined;
function openAgent(): Promise<TestAgent> {
  opened ??= TestAgent.start({
    controlPlane: plane,
    config: { tunnels: { allow: ['*:*'], deny: [] }, logging: { level: 'debug' } },
  }).then((agent) => parts.use(agent));
  return opened;
}
