import { generateKeyPairSync, sign } from 'node:crypto';
import { auditCheckpointStatement } from '@drawbridge/protocol';
import { expect, it } from 'vitest';
import { auditHash, checkpointVerifier } from './audit-crypto.ts';

/** The example of SECURITY.md: another program that checks exports must come to the same hash. */
const RECORD = {
  seq: 1,
  id: '019b9808-4600-7000-8000-000000000001',
  at: '2026-01-07T10:00:00.000Z',
  actor: 'user:019b9808-4600-7000-8000-000000000002',
  actor_name: 'ada',
  verb: 'task.run',
  resource: 'agent:019b9808-4600-7000-8000-000000000003',
  agent_id: '019b9808-4600-7000-8000-000000000003',
  address: '192.0.2.7',
  request_id: 'r1',
  result: 'denied',
  reason: 'forbidden',
  details: { provider: 'shell', count: 1 },
  previous_hash: '0'.repeat(64),
} as const;

it('hashes a record as anybody can with a shell', () => {
  // printf 'drawbridge audit v1\n000…\n{"actor":…}' | sha256sum
  expect(auditHash(RECORD)).toBe('f13daadfa61138b7758d67f5438202c5a7d9f7b10b887e7c6ac14c48041b7ec6');
});

it('tells the signature of one control plane from any other', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const x = publicKey.export({ format: 'jwk' }).x ?? '';
  const unsigned = { seq: 9, hash: 'ab'.repeat(32), at: '2026-01-07T10:00:00.000Z', count: 9 };
  const statement = Buffer.from(auditCheckpointStatement('server-1', unsigned));
  const checkpoint = { ...unsigned, signature: sign(null, statement, privateKey).toString('base64url') };
  const isGenuine = checkpointVerifier({ serverId: 'server-1', publicKey: x });
  expect(isGenuine(checkpoint)).toBe(true);
  expect(isGenuine({ ...checkpoint, seq: 8 })).toBe(false);
  expect(isGenuine({ ...checkpoint, count: 8 })).toBe(false);
  expect(isGenuine({ ...checkpoint, signature: `${checkpoint.signature}A` })).toBe(false);
  expect(isGenuine({ ...checkpoint, signature: '' })).toBe(false);
  expect(checkpointVerifier({ serverId: 'server-2', publicKey: x })(checkpoint)).toBe(false);
  expect(() => checkpointVerifier({ serverId: 'server-1', publicKey: 'no key' })).toThrow();
});
