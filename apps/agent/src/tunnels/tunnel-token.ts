import { createPublicKey } from 'node:crypto';
import { errors, jwtVerify } from 'jose';
import { ControlError } from '@drawbridge/protocol';

const SKEW_SECONDS = 5;

/** What this agent knows for sure when it is told to dial. */
export interface TokenBinding {
  readonly agentId: string;
  readonly tunnelId: string;
  /** Raw Ed25519 key, base64url, pinned at enrolment. */
  readonly serverKey: string;
  /** The control plane's time: this machine's clock may be hours off. */
  readonly serverNowMs: number;
}

/** Throws ControlError `auth_failed` unless the pinned control plane signed this token for just this agent and tunnel. */
export async function verifyTunnelToken(token: string, binding: TokenBinding): Promise<{ protocol: string }> {
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: binding.serverKey }, format: 'jwk' });
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: ['EdDSA'],
      typ: 'tunnel+jwt',
      audience: 'tunnel-agent',
      subject: binding.agentId,
      requiredClaims: ['jti', 'exp', 'tunnel_id', 'protocol'],
      clockTolerance: SKEW_SECONDS,
      currentDate: new Date(binding.serverNowMs),
    });
    if (payload['tunnel_id'] === binding.tunnelId && typeof payload['protocol'] === 'string')
      return { protocol: payload['protocol'] };
  } catch (cause) {
    if (!(cause instanceof errors.JOSEError)) throw cause;
    throw new ControlError('auth_failed', 'the tunnel token is forged, expired or for another agent', { cause });
  }
  throw new ControlError('auth_failed', 'the tunnel token is for another tunnel');
}
