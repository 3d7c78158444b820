/**
 * How far a dial came: `refused` nobody there, or hung up; `dns` no such name; `timeout` too slow; `tls` the certificate or
 * the handshake; `pin` another key than the pinned one; `proxy` the proxy did not connect us; `http` an answer other than the
 * one asked for.
 */
export type DialErrorKind = 'refused' | 'dns' | 'timeout' | 'tls' | 'pin' | 'proxy' | 'http';

/** A connection that could not be made, or an answer that is not one. The message never holds a credential. */
export class DialError extends Error {
  override readonly name = 'DialError';
  readonly kind: DialErrorKind;
  /** What the server answered; absent when a proxy did. */
  readonly httpStatus: number | undefined;
  /** How long the other side asked us to stay away. */
  readonly retryAfterMs: number | undefined;

  constructor(
    kind: DialErrorKind,
    message: string,
    options: { cause?: unknown; httpStatus?: number; retryAfterMs?: number | undefined } = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.kind = kind;
    this.httpStatus = options.httpStatus;
    this.retryAfterMs = options.retryAfterMs;
  }
}

const DNS_CODES = new Set(['ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL', 'EAI_NODATA', 'EAI_NONAME']);

/** Anything Node throws while it connects, as a DialError. One that is a DialError already stays as it is. */
export function toDialError(error: unknown, target: string): DialError {
  if (error instanceof DialError) return error;
  const code = codeOf(error);
  const reason = error instanceof Error && error.message !== '' ? error.message : code;
  return new DialError(kindOf(code), `${target}: ${reason}`, { cause: error });
}

function kindOf(code: string): DialErrorKind {
  if (DNS_CODES.has(code)) return 'dns';
  if (code === 'ETIMEDOUT') return 'timeout';
  if (code.startsWith('HPE_')) return 'http';
  return isTlsCode(code) ? 'tls' : 'refused';
}

/** OpenSSL's own codes, Node's for TLS, and those of a certificate chain, which carry no prefix (`CERT_HAS_EXPIRED`). */
function isTlsCode(code: string): boolean {
  return /^(ERR_SSL_|ERR_TLS_|ERR_OSSL_|EPROTO$|CERT_|CRL_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|INVALID_|HOSTNAME_)/.test(
    code,
  );
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown error';
}

/** A longer wish is taken for a mistake. */
const RETRY_AFTER_MS_MAX = 24 * 3_600_000;

/** The Retry-After header, seconds or a date (RFC 9110 §10.2.3), as milliseconds from now; undefined when it says nothing. */
export function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  const text = header.trim();
  const delayMs = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  return Number.isNaN(delayMs) ? undefined : Math.min(Math.max(delayMs, 0), RETRY_AFTER_MS_MAX);
}
