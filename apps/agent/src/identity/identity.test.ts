import { randomUUID } from 'node:crypto';
import { stat, writeFile } from 'node:fs/promises';
import { TempDir } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { DeviceKey, readIdentity, writeIdentity } from './identity.ts';
import { fingerprintOf, isSignedBy } from './verify-server.ts';

function identity() {
  const key = DeviceKey.generate();
  return {
    agent_id: randomUUID(),
    name: 'build-1',
    server_url: 'https://control.example.com',
    server_id: randomUUID(),
    server_key: key.publicKey,
    private_key: key.toPem(),
  };
}

it('reads what it wrote, which its owner alone may', async () => {
  await using dir = await TempDir.make();
  const path = dir.join('identity.json');
  expect(await readIdentity(path)).toBeUndefined();
  const written = identity();
  await writeIdentity(path, written);
  expect(await readIdentity(path)).toEqual(written);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

it.each(['', '{}', '[]', JSON.stringify({ ...identity(), server_key: 'short' })])(
  'says so when a file is no identity: %s',
  async (text) => {
    await using dir = await TempDir.make();
    const path = dir.join('identity.json');
    await writeFile(path, text);
    await expect(readIdentity(path)).rejects.toMatchObject({ code: 'invalid_request' });
  },
);

it('signs with a key that survives being written down', () => {
  const key = DeviceKey.generate();
  const again = DeviceKey.parse(key.toPem());
  expect(again.publicKey).toBe(key.publicKey);
  expect(isSignedBy(key.publicKey, 'statement', again.sign('statement'))).toBe(true);
  expect(isSignedBy(key.publicKey, 'another', again.sign('statement'))).toBe(false);
  expect(isSignedBy(key.publicKey, 'statement', '')).toBe(false);
  expect(isSignedBy(DeviceKey.generate().publicKey, 'statement', again.sign('statement'))).toBe(false);
  expect(fingerprintOf(key.publicKey)).toHaveLength(43);
});
