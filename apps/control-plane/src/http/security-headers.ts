import type { FastifyReply, FastifyRequest } from 'fastify';

/** A year: a browser that was here by TLS once does not come without it. */
const HSTS = 'max-age=31536000';

/** What every answer carries. Pages set a Content-Security-Policy of their own, with a nonce. */
const SECURITY_HEADERS = Object.entries({
  'content-security-policy': contentSecurityPolicy(),
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'cache-control': 'no-store',
});

/**
 * Lets a page use what comes from its own origin, in nobody's frame. With `nonce`, inline scripts and styles that carry it
 * run too; nothing else inline does.
 */
export function contentSecurityPolicy(nonce?: string): string {
  const own = nonce === undefined ? "'self'" : `'self' 'nonce-${nonce}'`;
  return [
    "default-src 'none'",
    `script-src ${own}`,
    `style-src ${own}`,
    "connect-src 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
}

/** Fastify's `onSend`: the headers of every answer, errors included. What a route has set itself stays. */
export async function securityHeaders(request: FastifyRequest, reply: FastifyReply): Promise<void> {
  for (const [name, value] of SECURITY_HEADERS) {
    if (!reply.hasHeader(name)) reply.header(name, value);
  }
  if (request.protocol === 'https') reply.header('strict-transport-security', HSTS);
  reply.header('x-request-id', request.id);
}
