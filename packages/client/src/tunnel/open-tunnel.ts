import type { TunnelRequest } from '@drawbridge/protocol/api';
import type { HttpOptions } from '../http.ts';
import { OperatorTunnel } from './operator-tunnel.ts';
import type { OperatorTunnelOptions, TunnelApi } from './operator-tunnel.ts';
import { webSocketDial } from './web-socket-dial.ts';

/** How a tunnel is held; `dial` is the platform's own WebSocket unless another is given. */
export type OpenTunnelOptions = Partial<Omit<OperatorTunnelOptions, 'api' | 'url'>>;

/** Opens a tunnel where and as the caller's requests are made. */
export function openTunnel(
  api: TunnelApi,
  { url, token }: Pick<HttpOptions, 'url' | 'token'>,
  request: TunnelRequest,
  options: OpenTunnelOptions,
  signal?: AbortSignal,
): Promise<OperatorTunnel> {
  return OperatorTunnel.open(request, { dial: webSocketDial({ token }), ...options, api, url }, signal);
}
