import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { ControlError } from '@drawbridge/protocol';
import { writeFileAtomic } from '@drawbridge/runtime';

const IdentityFile = z.object({ server_id: z.uuid(), private_key: z.string() });

/** The control plane's name and Ed25519 key: what agents pin when they enrol. */
export class ServerIdentity {
  readonly serverId: string;
  /** Raw public key, base64url. */
  readonly publicKey: string;
  /** SHA-256 of the raw public key, base64url: the third part of a join token. */
  readonly fingerprint: string;
  readonly privateKey: KeyObject;
  readonly verifyKey: KeyObject;

  constructor(serverId: string, privateKey: KeyObject) {
    this.serverId = serverId;
    this.privateKey = privateKey;
    this.verifyKey = createPublicKey(privateKey);
    const jwk = this.verifyKey.export({ format: 'jwk' });
    if (jwk.crv !== 'Ed25519' || jwk.x === undefined)
      throw new ControlError('internal', 'the server key is not Ed25519');
    this.publicKey = jwk.x;
    this.fingerprint = createHash('sha256').update(Buffer.from(jwk.x, 'base64url')).digest('base64url');
  }

  /** Reads the identity, or makes it on the first start (0600, durable before it is used). */
  static async load(path: string): Promise<ServerIdentity> {
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (text !== undefined) return ServerIdentity.#parse(path, text);
    const { privateKey } = generateKeyPairSync('ed25519');
    const identity = new ServerIdentity(randomUUID(), privateKey);
    const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
    await writeFileAtomic(path, JSON.stringify({ server_id: identity.serverId, private_key: pem }, undefined, 2));
    return identity;
  }

  static #parse(path: string, text: string): ServerIdentity {
    try {
      const { server_id: serverId, private_key: pem } = IdentityFile.parse(JSON.parse(text));
      return new ServerIdentity(serverId, createPrivateKey(pem));
    } catch (cause) {
      throw new ControlError('invalid_request', `${path} is no identity of a control plane`, { cause });
    }
  }

  /** An Ed25519 signature over UTF-8 text, base64url. */
  sign(statement: string): string {
    return sign(null, Buffer.from(statement), this.privateKey).toString('base64url');
  }
}
