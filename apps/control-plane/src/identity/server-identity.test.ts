import { createHash, verify } from 'node:crypto';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { TempDir } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { ServerIdentity } from './server-identity.ts';

it('is made on the first start, readable by its owner alone, and is the same ever after', async () => {
  await using dir = await TempDir.make();
  const path = dir.join('identity.json');
  const first = await ServerIdentity.load(path);
  const second = await ServerIdentity.load(path);
  expect([second.serverId, second.publicKey]).toEqual([first.serverId, first.publicKey]);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  const raw = Buffer.from(first.publicKey, 'base64url');
  expect(raw).toHaveLength(32);
  expect(first.fingerprint).toBe(createHash('sha256').update(raw).digest('base64url'));
});

it('signs what its public key verifies', async () => {
  await using dir = await TempDir.make();
  const identity = await ServerIdentity.load(dir.join('identity.json'));
  const signature = Buffer.from(identity.sign('statement'), 'base64url');
  expect(verify(null, Buffer.from('statement'), identity.verifyKey, signature)).toBe(true);
  expect(verify(null, Buffer.from('another'), identity.verifyKey, signature)).toBe(false);
});

it.each(['', '{', '{}', '{"server_id":"7","private_key":"x"}'])(
  'refuses a file that is no identity, and leaves it alone: %j',
  async (text) => {
    await using dir = await TempDir.make();
    const path = dir.join('identity.json');
    await writeFile(path, text);
    await expect(ServerIdentity.load(path)).rejects.toMatchObject({ code: 'invalid_request' });
    expect(await readFile(path, 'utf8')).toBe(text);
  },
);
