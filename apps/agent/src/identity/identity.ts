import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { AgentName, ControlError, PublicKeyText } from '@drawbridge/protocol';
import { writeFileAtomic } from '@drawbridge/runtime';

/** identity.json: who this agent is, and which control plane it belongs to. Only its owner may read it. */
export const IdentityFile = z.object({
  agent_id: z.uuid(),
  name: AgentName,
  server_url: z.url(),
  server_id: z.uuid(),
  server_key: PublicKeyText,
  private_key: z.string(),
  /** The certificate authority given at enrolment, PEM. */
  ca: z.string().optional(),
  pin: z.string().optional(),
});
export type IdentityFile = z.infer<typeof IdentityFile>;

/** The device key: made here, never leaves this machine. */
export class DeviceKey {
  readonly privateKey: KeyObject;
  /** Raw, base64url. */
  readonly publicKey: string;

  constructor(privateKey: KeyObject) {
    this.privateKey = privateKey;
    const { x } = createPublicKey(privateKey).export({ format: 'jwk' });
    if (x === undefined) throw new ControlError('invalid_request', 'the device key is not Ed25519');
    this.publicKey = x;
  }

  static generate(): DeviceKey {
    return new DeviceKey(generateKeyPairSync('ed25519').privateKey);
  }

  static parse(pem: string): DeviceKey {
    return new DeviceKey(createPrivateKey(pem));
  }

  toPem(): string {
    return this.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  }

  /** An Ed25519 signature over UTF-8 text, base64url. */
  sign(statement: string): string {
    return sign(null, Buffer.from(statement), this.privateKey).toString('base64url');
  }
}

/** The enrolled identity, or undefined when this agent was never enrolled. */
export async function readIdentity(path: string): Promise<IdentityFile | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return IdentityFile.parse(JSON.parse(text));
  } catch (cause) {
    throw new ControlError('invalid_request', `${path} is no identity of an agent`, { cause });
  }
}

export async function writeIdentity(path: string, identity: IdentityFile): Promise<void> {
  await writeFileAtomic(path, JSON.stringify(identity, undefined, 2));
}
