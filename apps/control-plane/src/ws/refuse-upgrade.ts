import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ControlError, ErrorCode } from '@drawbridge/protocol';

/** A busy or closing server asks for this much patience. */
const RETRY_AFTER_SECONDS = 5;

const STATUS: Partial<Record<ErrorCode, number>> = {
  agent_not_found: 404,
  already_connected: 409,
  auth_failed: 401,
  credentials_in_url: 400,
  forbidden: 403,
  internal: 500,
  invalid_request: 400,
  not_found: 404,
  protocol_error: 400,
  rate_limited: 429,
  server_draining: 503,
  session_not_found: 404,
  store_unavailable: 503,
  tunnel_not_found: 404,
  unauthenticated: 401,
};

/** Answers a request for a WebSocket in HTTP, and ends the connection. */
export function refuseUpgrade(socket: Duplex, { code, message, details }: ControlError): void {
  if (socket.destroyed || socket.writableEnded) return;
  const status = STATUS[code] ?? 503;
  const body = JSON.stringify({ code, message });
  const retrySeconds = details?.['retry_after_seconds'] ?? RETRY_AFTER_SECONDS;
  const retry = status === 429 || status === 503 ? `Retry-After: ${Number(retrySeconds)}\r\n` : '';
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nConnection: close\r\n${retry}` +
      `Content-Type: application/json\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
