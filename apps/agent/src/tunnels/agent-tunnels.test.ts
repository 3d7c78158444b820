import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { SignJWT } from 'jose';
import { FakeClock, listeningPort } from '@drawbridge/testkit';
import { memoryLog } from '@drawbridge/runtime/testing';
import { expect, it } from 'vitest';
import { DeviceKey } from '../identity/identity.ts';
import { AgentTunnels } from './agent-tunnels.ts';

const SERVER = DeviceKey.generate();
const AGENT_ID = randomUUID();

/** A port that counts who dials it, and tunnels that would. */
async function makeTunnels(serverKey: string | undefined) {
  let dials = 0;
  const server = createServer((socket) => {
    dials += 1;
    socket.destroy();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const port = listeningPort(server);
  const clock = new FakeClock();
  const tunnels = new AgentTunnels({
    access: {
      url: `http://127.0.0.1:${port}`,
      agentId: AGENT_ID,
      credential: { kind: 'device-key', key: DeviceKey.generate() },
      serverKey,
      tls: {},
      proxy: undefined,
      noProxy: undefined,
    },
    clock,
    log: memoryLog().log,
    serverNowMs: () => clock.now(),
    channels: {},
    isAllowed: () => true,
    domains: { ps: 1, rdp_vnc_webrtc: 1, ssh: 0, winrm: 0 },
  });
  const expires = Math.floor(clock.now() / 1000) + 120;
  return {
    tunnels,
    expires,
    dials: () => dials,
    async [Symbol.asyncDispose]() {
      await tunnels[Symbol.asyncDispose]();
      server.close();
    },
  };
}

function tokenBy(key: DeviceKey, tunnelId: string, expires: number): Promise<string> {
  return new SignJWT({ tunnel_id: tunnelId, protocol: 'system' })
    .setProtectedHeader({ alg: 'EdDSA', typ: 'tunnel+jwt' })
    .setSubject(AGENT_ID)
    .setAudience('tunnel-agent')
    .setJti(randomUUID())
    .setExpirationTime(expires)
    .sign(key.privateKey);
}

it.each<[string, (tunnelId: string, expires: number) => Promise<string>, string | undefined, string]>([
  ['signed by another key', (id, at) => tokenBy(DeviceKey.generate(), id, at), SERVER.publicKey, 'auth_failed'],
  ['expired', (id, at) => tokenBy(SERVER, id, at - 200), SERVER.publicKey, 'auth_failed'],
  ['for another tunnel', (_id, at) => tokenBy(SERVER, randomUUID(), at), SERVER.publicKey, 'auth_failed'],
  ['for an agent that pinned no key', (id, at) => tokenBy(SERVER, id, at), undefined, 'forbidden'],
])('does not even dial with a token that is %s', async (_name, make, serverKey, code) => {
  await using made = await makeTunnels(serverKey);
  const tunnelId = randomUUID();
  const token = await make(tunnelId, made.expires);
  const opening = made.tunnels.open({ tunnelId, kind: 'system', token }, new AbortController().signal);
  await expect(opening).rejects.toMatchObject({ code });
  expect(made.dials()).toBe(0);
});

it('dials with a good one, and says that nobody answered', async () => {
  await using made = await makeTunnels(SERVER.publicKey);
  const tunnelId = randomUUID();
  const token = await tokenBy(SERVER, tunnelId, made.expires);
  await expect(
    made.tunnels.open({ tunnelId, kind: 'system', token }, new AbortController().signal),
  ).rejects.toMatchObject({
    kind: 'refused',
  });
  expect(made.dials()).toBe(1);
  expect(made.tunnels.size).toBe(0);
});
