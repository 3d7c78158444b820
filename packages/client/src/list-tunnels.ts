import { TunnelView, pageOf } from '@drawbridge/protocol/api';
import { allPages } from './all-pages.ts';
import type { Http } from './http.ts';

/** Which tunnels to list. */
export interface TunnelFilter {
  /** Id or name. */
  readonly agent?: string | undefined;
  readonly state?: TunnelView['state'] | undefined;
  /** Also leases that ended in the last days. */
  readonly includeEnded?: boolean | undefined;
}

/** Tunnels of the agents the caller may see. */
export function listTunnels(
  http: Http,
  { agent, state, includeEnded }: TunnelFilter,
  signal?: AbortSignal,
): Promise<TunnelView[]> {
  const query = { agent, state, include_ended: includeEnded === true ? 'true' : undefined };
  return allPages(http, pageOf(TunnelView), '/api/v1/tunnels', { query, signal });
}
