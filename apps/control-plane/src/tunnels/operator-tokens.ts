import type { IssuedTunnel, IssuedTunnelToken } from '@drawbridge/protocol/api';
import { actorText } from '../operators/actor.ts';
import type { Actor } from '../operators/actor.ts';
import { operatorClaims } from './lease-claims.ts';
import type { Lease } from './lease.ts';
import type { TunnelTokens } from './tunnel-tokens.ts';

/** Gives operators what they dial their end of a lease with. */
export class OperatorTokens {
  readonly #tokens: TunnelTokens;
  readonly #publicUrl: () => string;

  /** `publicUrl` is where people find this control plane. */
  constructor(tokens: TunnelTokens, publicUrl: () => string) {
    this.#tokens = tokens;
    this.#publicUrl = publicUrl;
  }

  /** A fresh token for this actor: the lease's own operator, or who takes over from them. */
  async issue(lease: Lease, actor: Actor): Promise<IssuedTunnelToken> {
    const claims = operatorClaims(lease, actorText(actor));
    const { token, expiresAtMs } = await this.#tokens.issueTimed(claims, 'tunnel-operator');
    return {
      tunnel_id: lease.tunnelId,
      port: lease.port,
      token,
      token_expires_at: new Date(expiresAtMs).toISOString(),
      operator_url: this.#urlOf(lease.tunnelId),
    };
  }

  /** The lease with its first token. */
  async issueLease(lease: Lease, actor: Actor): Promise<IssuedTunnel> {
    return {
      ...(await this.issue(lease, actor)),
      agent_id: lease.agentId,
      protocol: lease.protocol,
      domain: lease.domain,
      idle_seconds: lease.idleSeconds,
      grace_seconds: lease.graceSeconds,
      expires_at: new Date(lease.expiresAtMs).toISOString(),
      state: lease.state,
    };
  }

  /** Operators come to the main listener, whichever port the agent dials. */
  #urlOf(tunnelId: string): string {
    const url = new URL(this.#publicUrl());
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    url.pathname = `/ws/tunnel/${tunnelId}`;
    return url.href;
  }
}
