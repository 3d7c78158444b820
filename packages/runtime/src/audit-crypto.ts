import { createPublicKey, hash, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { auditCheckpointStatement, auditRecordText } from '@drawbridge/protocol';
import type { AuditCheckpoint, AuditRecord } from '@drawbridge/protocol/api';

/** The hash of a record: SHA-256 over `auditRecordText`, hex. */
export function auditHash(record: Omit<AuditRecord, 'hash'>): string {
  return hash('sha256', auditRecordText(record));
}

/** Who signed: a control plane's id and its raw Ed25519 public key, base64url. */
export interface AuditSigner {
  readonly serverId: string;
  readonly publicKey: string;
}

/** Tells genuine checkpoints of one control plane. Throws for text that is no Ed25519 key. */
export function checkpointVerifier({ serverId, publicKey }: AuditSigner): (checkpoint: AuditCheckpoint) => boolean {
  const key: KeyObject = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: publicKey }, format: 'jwk' });
  return (checkpoint) => {
    const statement = Buffer.from(auditCheckpointStatement(serverId, checkpoint));
    const signature = Buffer.from(checkpoint.signature, 'base64url');
    // A decoder forgives; one signature has one text.
    if (signature.toString('base64url') !== checkpoint.signature) return false;
    return verify(null, statement, key, signature);
  };
}
