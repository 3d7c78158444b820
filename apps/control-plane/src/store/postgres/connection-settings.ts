import { ControlError, LIMITS } from '@drawbridge/protocol';
import type { ClientConfig } from 'pg';
import { parseColumn } from './parse-column.ts';

/** What the connections to one database have in common. */
export interface ConnectionSettings {
  /** How messages call the database: without a user, a password or a parameter. */
  readonly name: string;
  readonly config: ClientConfig;
  /** How long a transaction may keep PostgreSQL waiting for its caller. */
  readonly pauseMsMax: number;
  /** How long one waits for another control plane to let go. */
  readonly takeoverMsMax: number;
}

/** The settings for a `postgres://` URL. Throws `invalid_request`, without quoting it, when it is none. */
export function connectionSettings(
  url: string,
  bounds: Pick<ConnectionSettings, 'pauseMsMax' | 'takeoverMsMax'>,
): ConnectionSettings {
  const parsed = URL.parse(url);
  if (parsed === null || !/^postgres(ql)?:$/.test(parsed.protocol)) {
    throw new ControlError('invalid_request', 'store.url: expected postgres://user@host:port/database');
  }
  return {
    ...bounds,
    name: `postgres://${parsed.host}${parsed.pathname}`,
    config: {
      connectionString: url,
      application_name: 'drawbridge',
      connectionTimeoutMillis: LIMITS.storeConnectTimeoutMs,
      statement_timeout: LIMITS.storeStatementTimeoutMs,
      lock_timeout: LIMITS.storeLockTimeoutMs,
      idle_in_transaction_session_timeout: bounds.pauseMsMax,
      // The server's own limit answers first; this one is for a server that has fallen silent.
      query_timeout: LIMITS.storeSilenceTimeoutMs,
      keepAlive: true,
      keepAliveInitialDelayMillis: LIMITS.storeKeepAliveMs,
      types: { getTypeParser: parseColumn },
    },
  };
}
