import { copyFile, writeFile } from 'node:fs/promises';
import {
  eventually,
  makeClientCertificate,
  makePki,
  type Pki,
  requires,
  TempDir,
  TestAgent,
  type TestCertificate,
  TestControlPlane,
} from '@drawbridge/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask, knock } from './edge-requests.ts';
import { readIdentity } from './raw-agent.ts';

const NOBODY = 'a0000000-0000-4000-8000-000000000000';

describe.runIf(requires('openssl'))('a control plane that wants client certificates', () => {
  let dir: TempDir;
  let pki: Pki;
  beforeAll(async () => {
    dir = await TempDir.make('drawbridge-client-certificates-');
    pki = await makePki(dir.path);
  });
  afterAll(() => dir[Symbol.asyncDispose]());

  async function start(clientAuth: 'request' | 'require'): Promise<TestControlPlane> {
    const file = dir.join('drawbridge.yaml');
    const { certFile: cert, keyFile: key } = pki.server;
    await writeFile(
      file,
      JSON.stringify({ listen: { tls: { cert, key, ca: pki.ca.certFile, client_auth: clientAuth } } }),
    );
    return TestControlPlane.start({ tls: pki, args: ['--config', file] });
  }

  /** The control plane as whoever holds a certificate calls it. */
  function asHolder(plane: TestControlPlane, client: TestCertificate) {
    const api: TestControlPlane['api'] = async (method, path, body) => {
      const headers = { authorization: `Bearer ${plane.token}` };
      const answer = await ask(plane, { method, path, body, headers, client });
      return { ...answer, body: JSON.parse(answer.body) };
    };
    return { url: plane.url, caFile: plane.caFile, api };
  }

  it('hears nobody without one, and takes a renewed one at the next dial', async () => {
    await using plane = await start('require');
    await expect(ask(plane, { path: '/healthz' })).rejects.toThrow();
    await expect(knock(plane, NOBODY)).rejects.toThrow();

    const live = { cert: dir.join('agent.crt'), key: dir.join('agent.key') };
    await copyFile(pki.client.certFile, live.cert);
    await copyFile(pki.client.keyFile, live.key);
    await using agent = await TestAgent.start({
      controlPlane: asHolder(plane, pki.client),
      enrolArgs: ['--client-cert', live.cert, '--client-key', live.key],
      config: {
        server: { client_cert: live.cert, client_key: live.key },
        reconnection: { base_delay: 0.1, max_delay: 0.2 },
      },
    });
    // It names the agent now, as short-lived certificates do. An agent that remembered the old files would fail with these.
    const renewed = await makeClientCertificate(dir.path, 'renewed', {
      uris: [`urn:drawbridge:agent:${agent.agentId}`],
    });
    await writeFile(live.cert, 'half written');
    await plane.restart();
    await agent.waitForLog(({ msg, failures }) => String(msg).includes('Scheduling backoff') && Number(failures) > 1);
    await copyFile(renewed.certFile, live.cert);
    await copyFile(renewed.keyFile, live.key);
    const connections = () => agent.logs.filter(({ msg }) => msg === 'Relay channel established').length;
    await eventually(connections, { what: 'the second connection', until: (count) => count === 2 });
  });

  it('lets no agent use the certificate of another', async () => {
    await using plane = await start('require');
    await using data = await TempDir.make('drawbridge-agent-');
    await using agent = await TestAgent.start({
      controlPlane: asHolder(plane, pki.client),
      dataDir: data.path,
      enrolArgs: ['--client-cert', pki.client.certFile, '--client-key', pki.client.keyFile],
      config: { server: { client_cert: pki.client.certFile, client_key: pki.client.keyFile } },
    });
    const { agentId } = await readIdentity(data.path);
    expect(agentId).toBe(agent.agentId);
    const as = async (names: { commonName?: string; uris?: string[] }) =>
      knock(plane, agentId, { client: await makeClientCertificate(dir.path, 'other', names) });
    expect(await as({ commonName: NOBODY })).toMatchObject({
      status: 401,
      body: expect.stringContaining('the client certificate names another agent'),
    });
    expect((await as({ uris: [`urn:drawbridge:agent:${NOBODY}`] })).status).toBe(401);
    expect((await as({ uris: [`urn:drawbridge:agent:${agentId}`] })).status).toBe(101);
    expect((await as({ commonName: 'build-1' })).status).toBe(101);
  });

  it('asks for one, and refuses one it cannot trust', async () => {
    await using plane = await start('request');
    await using elsewhere = await TempDir.make();
    const { client: stranger } = await makePki(elsewhere.path);
    const path = '/api/v1/agents';
    const headers = { authorization: `Bearer ${plane.token}` };
    expect((await ask(plane, { path, headers })).status).toBe(200);
    expect((await ask(plane, { path, headers, client: pki.client })).status).toBe(200);
    expect(await ask(plane, { path, headers, client: stranger })).toMatchObject({
      status: 401,
      body: expect.stringContaining('the client certificate is not trusted'),
    });
    expect((await knock(plane, NOBODY, { client: stranger })).body).toContain('is not trusted');
  });
});
