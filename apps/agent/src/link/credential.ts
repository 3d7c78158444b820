import { SignJWT } from 'jose';
import type { DeviceKey } from '../identity/identity.ts';

/** What shows the control plane who this agent is: its device key, or an API key. */
export type Credential =
  | { readonly kind: 'device-key'; readonly key: DeviceKey }
  | { readonly kind: 'api-key'; readonly reveal: () => string };

/** The `auth_token` for one connection; with a device key it answers the server's nonce. */
export function authToken(
  credential: Credential,
  { agentId, serverId, nonce }: { agentId: string; serverId: string; nonce: string },
): Promise<string> {
  if (credential.kind === 'api-key') return Promise.resolve(credential.reveal());
  return new SignJWT({ nonce })
    .setProtectedHeader({ alg: 'EdDSA' })
    .setIssuer(agentId)
    .setSubject(agentId)
    .setAudience(serverId)
    .sign(credential.key.privateKey);
}

/** An API key is shown in the handshake already, so that a wrong one is refused with 401 (S0-021). A device key has nothing to show yet. */
export function authorizationHeader(credential: Credential): Record<string, string> {
  return credential.kind === 'api-key' ? { authorization: `Bearer ${credential.reveal()}` } : {};
}
