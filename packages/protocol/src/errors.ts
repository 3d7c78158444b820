/** Every code an error can carry, wherever it shows: API, wire, command line. Add, never rename. */
export const ERROR_CODES = [
  'agent_busy',
  'agent_error',
  'agent_name_taken',
  'agent_not_found',
  'agent_offline',
  'already_connected',
  'auth_failed',
  'binary_missing',
  'bulk_run_not_found',
  'cancelled',
  'command_not_found',
  'command_timeout',
  'conflict',
  'credentials_in_url',
  'disk_full',
  'domain_limit',
  'duplicate_identity',
  'expired',
  'forbidden',
  'group_not_found',
  'host_limit',
  'idempotency_mismatch',
  'indeterminate',
  'internal',
  'invalid_message',
  'invalid_request',
  'join_token_invalid',
  'join_token_not_found',
  'journal_unavailable',
  'login_denied',
  'login_request_not_found',
  'method_not_allowed',
  'not_found',
  'operation_not_allowed',
  'output_limit',
  'password_weak',
  'payload_too_large',
  'port_pool_exhausted',
  'process_failed',
  'protocol_error',
  'provider_unavailable',
  'queue_full',
  'rate_limited',
  'result_too_large',
  'role_not_found',
  'server_draining',
  'server_key_mismatch',
  'session_not_found',
  'spawn_failed',
  'store_unavailable',
  'target_unreachable',
  'task_not_found',
  'timed_out',
  'token_not_found',
  'tunnel_not_found',
  'tunnel_unavailable',
  'unauthenticated',
  'unsupported',
  'user_not_found',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/** An expected failure: a stable code, and a message that names the thing and the reason. */
export class ControlError extends Error {
  override readonly name = 'ControlError';
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; details?: Record<string, unknown> } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.details = options.details;
  }
}

/** What of the wire a peer broke. */
export type ProtocolErrorCode =
  | 'frame_truncated'
  | 'frame_too_large'
  | 'frame_length'
  | 'frame_version'
  | 'frame_type'
  | 'frame_flags'
  | 'frame_reserved'
  | 'frame_payload'
  | 'frame_unexpected'
  | 'channel_unknown'
  | 'credit_exceeded'
  | 'message_binary'
  | 'message_json'
  | 'message_too_large';

/** The peer broke the wire: its connection ends, nothing is retried on it. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  readonly code: ProtocolErrorCode;

  constructor(code: ProtocolErrorCode, message: string) {
    super(`${code}: ${message}`);
    this.code = code;
  }
}

/** Makes the compiler prove that a `switch` has a case for everything. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}
