import { createHash, createPublicKey, verify } from 'node:crypto';

/** True when `signature` (base64url) over `statement` is by the raw Ed25519 key `publicKey` (base64url). */
export function isSignedBy(publicKey: string, statement: string, signature: string): boolean {
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: publicKey }, format: 'jwk' });
  return verify(null, Buffer.from(statement), key, Buffer.from(signature, 'base64url'));
}

/** What a join token says of the control plane's key: SHA-256 of its 32 bytes, base64url. */
export function fingerprintOf(publicKey: string): string {
  return createHash('sha256').update(Buffer.from(publicKey, 'base64url')).digest('base64url');
}
