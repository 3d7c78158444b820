import { writeFile } from 'node:fs/promises';
import { eventually, listenersOf, makePki, requires, TempDir, TestAgent, TestControlPlane } from '@drawbridge/testkit';
import type { Pki } from '@drawbridge/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Echo, EchoServer, lease, viewOf, withAgent } from './tunnel-operator.ts';
import { tunnelUser } from './tunnel-story.ts';

const LEASES = 50;
/** Of those, how many carry something. */
const USED = 5;

describe.runIf(requires('openssl', 'linux'))('leases with listeners of their own', () => {
  let dir: TempDir;
  let pki: Pki;
  beforeAll(async () => {
    dir = await TempDir.make('drawbridge-leased-');
    pki = await makePki(dir.path);
  });
  afterAll(() => dir[Symbol.asyncDispose]());

  async function start(range: string): Promise<TestControlPlane> {
    const file = dir.join('drawbridge.yaml');
    await writeFile(file, JSON.stringify({ tunnels: { listener: 'leased', port_range: range } }));
    return TestControlPlane.start({ tls: pki, args: ['--config', file] });
  }

  /** Besides the main one. */
  function leasedPorts(plane: TestControlPlane): number[] {
    const main = Number(new URL(plane.url).port);
    const ports = listenersOf(plane.pid).filter(({ protocol }) => protocol.startsWith('tcp'));
    return ports.flatMap(({ port }) => (port === main ? [] : [port])).toSorted((a, b) => a - b);
  }

  it('listens on one TLS port for each of fifty leases while they last, and then on none', async () => {
    await using plane = await start('24000-24999');
    await using agent = await TestAgent.start({ controlPlane: plane });
    await using echo = await EchoServer.start();
    expect(leasedPorts(plane)).toEqual([]);
    const wanted = { agent_id: agent.agentId, protocol: 'tcp' } as const;
    const user = tunnelUser(plane);
    await using cleanup = new AsyncDisposableStack();
    const used = await Promise.all(Array.from({ length: USED }, () => user.open(wanted)));
    for (const tunnel of used) cleanup.use(tunnel);
    const unused = await Promise.all(Array.from({ length: LEASES - USED }, () => lease(plane, wanted)));
    const ids = [...used.map(({ tunnelId }) => tunnelId), ...unused.map(({ tunnel_id: id }) => id)];
    const ports = (await Promise.all(ids.map((id) => withAgent(plane, id)))).map(({ port }) => port ?? 0);
    expect(new Set(ports).size).toBe(LEASES);
    expect(leasedPorts(plane)).toEqual(ports.toSorted((a, b) => a - b));
    for (const tunnel of used) await new Echo(await tunnel.channel({ port: echo.port })).says(tunnel.tunnelId);
    // The port serves TLS and nothing else.
    await expect(fetch(`http://127.0.0.1:${ports[0]}/`)).rejects.toThrow();
    expect(listenersOf(agent.pid)).toEqual([]);
    for (const id of ids) expect((await plane.api('DELETE', `/api/tunnel/${id}`)).status).toBe(204);
    await eventually(() => leasedPorts(plane).length === 0, { what: 'the end of all listeners' });
  });

  it('says that no port is free, and gives a port that was given back', async () => {
    await using plane = await start('25100-25102');
    await using agent = await TestAgent.start({ controlPlane: plane });
    const wanted = { agent_id: agent.agentId, protocol: 'tcp' } as const;
    const leases = [];
    for (let answer = await plane.api('POST', '/api/tunnel/request', wanted); ;) {
      if (answer.status !== 201) {
        expect(answer).toMatchObject({ status: 503, body: { code: 'port_pool_exhausted' } });
        expect(JSON.stringify(answer.body)).toContain('no port of 25100-25102 is free: tunnels.port_range');
        break;
      }
      leases.push(answer.body);
      answer = await plane.api('POST', '/api/tunnel/request', wanted);
    }
    expect(leases).toHaveLength(3);
    const { tunnel_id: id, port } = await withAgent(plane, leasedId(leases[1]));
    await plane.api('DELETE', `/api/tunnel/${id}`);
    expect((await lease(plane, wanted)).port).toBe(port);
  });

  it('has the ports of its leases again after a restart, and their streams go on', async () => {
    await using plane = await start('25200-25299');
    await using agent = await TestAgent.start({ controlPlane: plane });
    await using echo = await EchoServer.start();
    const user = tunnelUser(plane);
    await using tunnel = await user.open({ agent_id: agent.agentId, protocol: 'tcp' });
    const talk = new Echo(await tunnel.channel({ port: echo.port }));
    await talk.says('before ');
    const before = leasedPorts(plane);
    expect(before).toEqual([(await viewOf(plane, tunnel.tunnelId)).port]);
    await plane.restart();
    expect(leasedPorts(plane)).toEqual(before);
    await talk.says('after', 60_000);
    expect(await viewOf(plane, tunnel.tunnelId)).toMatchObject({ state: 'active', port: before[0] });
  });
});

function leasedId(body: unknown): string {
  if (typeof body === 'object' && body !== null && 'tunnel_id' in body) return String(body.tunnel_id);
  throw new Error(`no lease: ${JSON.stringify(body)}`);
}
