import { existsSync } from 'node:fs';
import { memoryLog } from '@drawbridge/runtime/testing';
import { TempDir } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { loadServerConfig } from './config.ts';
import { startControlPlane } from './control-plane.ts';

const OIDC = { issuer: 'https://id.example', client_id: 'drawbridge' };

it.each([
  ['a bus of several nodes', { bus: { url: 'nats://bus.example' } }, /bus\.url/],
  ['an identity provider', { auth: { oidc: OIDC } }, /auth\.oidc/],
  ['no passwords', { auth: { local: false, oidc: OIDC } }, /auth\.oidc/],
])('does not start with %s, which nobody serves yet, and says so', async (_what, overrides, message) => {
  await using dir = await TempDir.make();
  const dataDir = dir.join('server');
  const config = loadServerConfig({ env: {}, overrides });
  const starting = startControlPlane({ config, dataDir, log: memoryLog().log, bootstrapFile: undefined });
  await expect(starting).rejects.toMatchObject({ code: 'unsupported', message: expect.stringMatching(message) });
  expect(existsSync(dataDir)).toBe(false);
});
