import { createPublicKey } from 'node:crypto';
import { errors, jwtVerify } from 'jose';
import { z } from 'zod';
import { ControlError } from '@drawbridge/protocol';

const SKEW_SECONDS = 5;

/** What this agent knows for sure when it is told to dial. */
export interface TokenBinding {
  readonly agentId: string;
  readonly tunnelId: string;
  readonly kind: 'system' | 'operator';
  /** The port it is told to dial; undefined when that is the link's own. */
  readonly port: number | undefined;
  /** Raw Ed25519 key, base64url, pinned at enrolment. */
  readonly serverKey: string;
  /** The control plane's time: this machine's clock may be hours off. */
  readonly serverNowMs: number;
}

const Claims = z.object({
  jti: z.string(),
  exp: z.number(),
  tunnel_id: z.string(),
  port: z.number().optional(),
  protocol: z.string(),
  domain: z.string().optional(),
});

/** What a token says that was found good. */
export type TunnelClaims = z.infer<typeof Claims>;

/** Checks tokens against the pinned key before anything is dialled, and each only once. */
export class TunnelTokenGate {
  /** Ids of tokens that were good, until they would have expired anyway. */
  readonly #spent = new Map<string, number>();

  /** Throws ControlError `auth_failed` unless the pinned control plane signed this token for just this dial, and it is new. */
  async redeem(token: string, binding: TokenBinding): Promise<TunnelClaims> {
    const claims = await verify(token, binding);
    if (claims.tunnel_id !== binding.tunnelId || (claims.protocol === 'system') !== (binding.kind === 'system'))
      throw new ControlError('auth_failed', 'the tunnel token is for another tunnel');
    if (binding.port !== undefined && claims.port !== binding.port)
      throw new ControlError('auth_failed', 'the tunnel token is for another port');
    this.#forgetExpired(binding.serverNowMs);
    if (this.#spent.has(claims.jti)) throw new ControlError('auth_failed', 'the tunnel token was used before');
    this.#spent.set(claims.jti, (claims.exp + SKEW_SECONDS) * 1000);
    return claims;
  }

  #forgetExpired(nowMs: number): void {
    for (const [jti, expiresMs] of this.#spent) if (expiresMs <= nowMs) this.#spent.delete(jti);
  }
}

async function verify(token: string, { agentId, serverKey, serverNowMs }: TokenBinding): Promise<TunnelClaims> {
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: serverKey }, format: 'jwk' });
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: ['EdDSA'],
      typ: 'tunnel+jwt',
      audience: 'tunnel-agent',
      subject: agentId,
      requiredClaims: ['jti', 'exp', 'tunnel_id', 'protocol'],
      clockTolerance: SKEW_SECONDS,
      currentDate: new Date(serverNowMs),
    });
    const claims = Claims.safeParse(payload);
    if (claims.success) return claims.data;
  } catch (cause) {
    if (!(cause instanceof errors.JOSEError)) throw cause;
    throw new ControlError('auth_failed', 'the tunnel token is forged, expired or for another agent', { cause });
  }
  throw new ControlError('auth_failed', 'the tunnel token says too little');
}
