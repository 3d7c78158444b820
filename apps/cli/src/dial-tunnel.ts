import { UnreachableError } from '@drawbridge/client';
import type { DialTunnel } from '@drawbridge/client';
import { LIMITS } from '@drawbridge/protocol';
import { dialWebSocket } from '@drawbridge/runtime/dial';
import { DialError } from '@drawbridge/runtime/dial-error';
import type { Access } from './access.ts';

/** Dials tunnels as requests are sent: the same authority, the same proxies of the environment, the same token. */
export function dialTunnelFor({ url: home, token, ca }: Access): DialTunnel {
  return async (url, subprotocol, signal) => {
    try {
      return await dialWebSocket(
        {
          url,
          subprotocol,
          headers: { authorization: `Bearer ${token}` },
          tls: { ca },
          timeoutMs: LIMITS.dialTimeoutMs,
          maxPayloadBytes: LIMITS.frameHeaderBytes + LIMITS.framePayloadBytesMax,
        },
        signal,
      );
    } catch (error) {
      if (!(error instanceof DialError)) throw error;
      throw new UnreachableError(home, error.cause ?? error);
    }
  };
}
