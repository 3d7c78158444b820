import { OperatorTunnel } from '@drawbridge/client';
import type { DialTunnel, TunnelApi, TunnelStatus } from '@drawbridge/client';
import { IssuedTunnel, IssuedTunnelToken, TunnelView } from '@drawbridge/protocol/api';
import type { TunnelRequest } from '@drawbridge/protocol/api';
import { LIMITS } from '@drawbridge/protocol';
import { dialWebSocket, readTlsFiles } from '@drawbridge/runtime';
import type { TestControlPlane } from '@drawbridge/testkit';

/** An operator of tunnels: the SDK over the API of a running control plane. */
export interface TunnelUser {
  readonly statuses: TunnelStatus[];
  open(request: TunnelRequest): Promise<OperatorTunnel>;
}

/** Dials tunnels as the admin; `via` is where, when that is not the control plane itself. */
export function dialVia(plane: TestControlPlane, via?: string): DialTunnel {
  return (url, subprotocol, signal) =>
    dialWebSocket(
      {
        url: via === undefined ? url : new URL(new URL(url).pathname, via).href,
        subprotocol,
        tls: readTlsFiles({ ca: plane.caFile }),
        headers: { authorization: `Bearer ${plane.token}` },
        timeoutMs: LIMITS.dialTimeoutMs,
        maxPayloadBytes: LIMITS.frameHeaderBytes + LIMITS.framePayloadBytesMax,
      },
      signal,
    );
}

/** `via` is where its WebSockets are dialled, when that is not the control plane itself. */
export function tunnelUser(plane: TestControlPlane, via?: string): TunnelUser {
  const statuses: TunnelStatus[] = [];
  const api: TunnelApi = {
    requestTunnel: async (request) =>
      IssuedTunnel.parse((await plane.api('POST', '/api/tunnel/request', request)).body),
    tunnelToken: async (id) => IssuedTunnelToken.parse((await plane.api('POST', `/api/v1/tunnels/${id}/token`)).body),
    closeTunnel: async (id) => void (await plane.api('DELETE', `/api/tunnel/${id}`)),
    tunnel: async (id) => TunnelView.parse((await plane.api('GET', `/api/v1/tunnels/${id}`)).body),
  };
  return {
    statuses,
    open: (request) =>
      OperatorTunnel.open(request, {
        api,
        dial: dialVia(plane, via),
        onStatus: (status) => statuses.push(status),
      }),
  };
}
