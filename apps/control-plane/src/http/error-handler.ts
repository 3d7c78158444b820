import type { FastifyError, FastifyInstance } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { ControlError } from '@drawbridge/protocol';
import type { ErrorCode } from '@drawbridge/protocol';

const STATUS: Readonly<Record<ErrorCode, number>> = {
  agent_busy: 409,
  agent_error: 502,
  agent_name_taken: 409,
  agent_not_found: 404,
  agent_offline: 503,
  already_connected: 409,
  auth_failed: 401,
  binary_missing: 409,
  bulk_run_not_found: 404,
  cancelled: 409,
  command_not_found: 404,
  command_timeout: 504,
  conflict: 409,
  credentials_in_url: 400,
  disk_full: 507,
  domain_limit: 409,
  duplicate_identity: 409,
  expired: 409,
  forbidden: 403,
  group_not_found: 404,
  host_limit: 409,
  idempotency_mismatch: 409,
  indeterminate: 409,
  internal: 500,
  invalid_message: 422,
  invalid_request: 422,
  join_token_invalid: 401,
  join_token_not_found: 404,
  journal_unavailable: 502,
  login_denied: 403,
  login_request_not_found: 404,
  method_not_allowed: 405,
  not_found: 404,
  operation_not_allowed: 403,
  output_limit: 409,
  password_weak: 422,
  payload_too_large: 413,
  port_pool_exhausted: 503,
  process_failed: 502,
  protocol_error: 400,
  provider_unavailable: 409,
  queue_full: 429,
  rate_limited: 429,
  result_too_large: 502,
  role_not_found: 404,
  server_draining: 503,
  server_key_mismatch: 502,
  session_not_found: 404,
  spawn_failed: 502,
  store_unavailable: 503,
  target_unreachable: 502,
  task_not_found: 404,
  timed_out: 504,
  token_not_found: 404,
  tunnel_not_found: 404,
  tunnel_unavailable: 503,
  unauthenticated: 401,
  unsupported: 501,
  user_not_found: 404,
};

/** The only place where an error becomes HTTP. */
export function installErrorHandler(app: FastifyInstance): void {
  app.setErrorHandler<FastifyError | ControlError>((error, request, reply) => {
    const { status, code, message, details } = describe(error);
    request.failure = code;
    if (status >= 500 && code === 'internal') request.log.error({ err: error }, 'request failed');
    if (details?.['retry_after_seconds'] !== undefined)
      reply.header('retry-after', Number(details['retry_after_seconds']));
    return reply
      .code(status)
      .send({ code, message, request_id: request.id, ...(details === undefined ? {} : { details }) });
  });
  app.setNotFoundHandler((request, reply) =>
    reply.code(404).send({
      code: 'not_found',
      message: `no route ${request.method} ${pathOf(request.url)}`,
      request_id: request.id,
    }),
  );
}

interface Described {
  readonly status: number;
  readonly code: ErrorCode;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>> | undefined;
}

function describe(error: FastifyError | ControlError): Described {
  if (error instanceof ControlError) {
    return { status: STATUS[error.code], code: error.code, message: error.message, details: error.details };
  }
  if (hasZodFastifySchemaValidationErrors(error)) {
    const issues = error.validation.map(({ instancePath, message }) => ({
      path: instancePath,
      message: message ?? '',
    }));
    const first = issues[0];
    const message = `${error.validationContext ?? 'request'}${first?.path ?? ''}: ${first?.message ?? 'invalid'}`;
    return { status: 422, code: 'invalid_request', message, details: { issues: issues.slice(0, 20) } };
  }
  // Schemas walk down what they are given, and no request of ours is that deep.
  if (error instanceof RangeError && error.message.includes('call stack')) {
    return { status: 422, code: 'invalid_request', message: 'the body is nested too deeply' };
  }
  const status = error.statusCode ?? 500;
  if (status >= 500) return { status: 500, code: 'internal', message: 'internal error' };
  return { status, code: CODE_OF_STATUS[status] ?? 'invalid_request', message: error.message };
}

/** What Fastify itself refuses. */
const CODE_OF_STATUS: Readonly<Record<number, ErrorCode>> = {
  404: 'not_found',
  405: 'method_not_allowed',
  413: 'payload_too_large',
  429: 'rate_limited',
};

/** A query string may hold what nobody should repeat. */
function pathOf(url: string): string {
  return url.split('?', 1)[0]?.slice(0, 200) ?? '';
}
