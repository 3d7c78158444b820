import type { SandboxAddress } from './sandbox-path.ts';

/** Names and values in turn, as they came: Node's `rawHeaders`. Order, case and repetitions are kept. */
export type RawHeaders = readonly string[];

/** Who sent a request, and to what, as the service is told. */
export interface Forwarded {
  readonly address: string;
  readonly host: string;
  readonly protocol: 'http' | 'https';
}

/** About one connection, not about the message (RFC 9110 §7.6.1, and what HTTP/1.0 had). */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
]);

/** Ours, whoever else might use the same names: a credential of Drawbridge reaches no service. */
const CREDENTIALS: ReadonlySet<string> = new Set(['authorization', 'cookie', 'open-sandbox-api-key']);

/** Each leg shakes hands for itself. */
const HANDSHAKE: ReadonlySet<string> = new Set([
  'origin',
  'sec-websocket-extensions',
  'sec-websocket-key',
  'sec-websocket-protocol',
  'sec-websocket-version',
]);

/** How long a message is and where it goes must be said before its body (RFC 9110 §6.5.1). */
const NOT_IN_TRAILERS: ReadonlySet<string> = new Set([
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'host',
  'set-cookie',
  'trailer',
]);

/** What acts on the origin as a whole and not on this answer: the origin is the control plane's, and the answer is not. */
const ABOUT_ORIGIN: ReadonlySet<string> = new Set([
  'accept-ch',
  'alt-svc',
  'clear-site-data',
  'critical-ch',
  'expect-ct',
  'nel',
  'origin-agent-cluster',
  'public-key-pins',
  'report-to',
  'reporting-endpoints',
  'secure-session-registration',
  'service-worker-allowed',
  'set-login',
  'strict-transport-security',
  'use-as-dictionary',
]);

/** What a browser would do to the control plane's origin: keep a cookie for it, or ask for a password in its name. */
const NOT_FOR_PAGES: ReadonlySet<string> = new Set(['set-cookie', 'www-authenticate']);

const NO_BODY = ['Content-Length', '0'];
/** Without a length these have no body; `http` would make up chunks for any other. */
const BODILESS: ReadonlySet<string> = new Set(['DELETE', 'GET', 'HEAD', 'OPTIONS', 'TRACE']);

/** The headers of a request as the service gets them, the length of its body among them. */
export function requestHeaders(
  { method = '', rawHeaders: raw }: { readonly method?: string | undefined; readonly rawHeaders: RawHeaders },
  from: Forwarded,
  { port }: Pick<SandboxAddress, 'port'>,
): string[] {
  const isFramed = isChunked(raw);
  const kept = endToEnd(raw, (name) => isForService(name) && !contradicts(name, isFramed));
  const length = isFramed ? ['Transfer-Encoding', 'chunked'] : [];
  const isUnsaid = !isFramed && !BODILESS.has(method) && valuesOf(kept, 'content-length').length === 0;
  return ['Host', `127.0.0.1:${port}`, ...withForwarded(kept, from), ...length, ...(isUnsaid ? NO_BODY : [])];
}

/** The headers of a WebSocket's handshake as the service gets them, without those that `ws` makes itself. */
export function handshakeHeaders(
  raw: RawHeaders,
  { port }: Pick<SandboxAddress, 'port'>,
): Readonly<Record<string, string[]>> {
  const headers = new Map([['host', [`127.0.0.1:${port}`]]]);
  const isKept = (name: string) => isForService(name) && !HANDSHAKE.has(name) && name !== 'content-length';
  for (const [name, value] of pairs(endToEnd(raw, isKept))) {
    const key = name.toLowerCase();
    headers.set(key, [...(headers.get(key) ?? []), value]);
  }
  return Object.fromEntries(headers);
}

/** Who gets an answer. */
export interface Recipient {
  /** A browser's page has asked. */
  readonly isPage: boolean;
  /** The answer comes to it in chunks, if there is any of it. */
  readonly takesChunks: boolean;
}

/** The headers of an answer as the client gets them. */
export function answerHeaders(raw: RawHeaders, { isPage, takesChunks }: Recipient): string[] {
  const isFramed = isChunked(raw);
  const kept = endToEnd(
    raw,
    (name) =>
      !contradicts(name, isFramed) &&
      !ABOUT_ORIGIN.has(name) &&
      !(isPage && NOT_FOR_PAGES.has(name)) &&
      (takesChunks || name !== 'trailer'),
  );
  // A second policy only adds to one of the service's own: whatever this is, it is no page of the control plane.
  const policy = ['Content-Security-Policy', 'sandbox', 'X-Content-Type-Options', 'nosniff'];
  // The service knows nothing of who was let in: no cache may give its answer to somebody else.
  const caching = ['Cache-Control', isPage ? 'no-store' : 'private', 'Vary', 'Authorization'];
  return [...kept, ...policy, ...caching];
}

/** Trailers, of either direction, as the other end gets them. */
export function trailers(raw: RawHeaders): [name: string, value: string][] {
  return pairs(endToEnd(raw, (name) => isForService(name) && !NOT_IN_TRAILERS.has(name) && !ABOUT_ORIGIN.has(name)));
}

/** All values of a header, in order. */
function valuesOf(raw: RawHeaders, name: string): string[] {
  return pairs(raw).flatMap(([key, value]) => (key.toLowerCase() === name ? [value] : []));
}

/** Whether the body comes in chunks, as far as the parser has let it: nothing else is served. */
export function isChunked(raw: RawHeaders): boolean {
  return valuesOf(raw, 'transfer-encoding').length > 0;
}

/** Whether a body is framed as we frame it: plain, or in chunks and nothing besides. */
export function isServable(raw: RawHeaders): boolean {
  return valuesOf(raw, 'transfer-encoding').every((value) => value.trim().toLowerCase() === 'chunked');
}

/** A length beside chunks would be two opinions about where the body ends; trailers come only with chunks. */
function contradicts(name: string, isFramed: boolean): boolean {
  return isFramed ? name === 'content-length' : name === 'trailer';
}

/** What is not about one connection, and passes `isKept`, which is given names in lower case. */
function endToEnd(raw: RawHeaders, isKept: (name: string) => boolean): string[] {
  const named = new Set(valuesOf(raw, 'connection').flatMap((value) => value.toLowerCase().split(/[\s,]+/)));
  // Nobody takes the length away and leaves the body there.
  named.delete('content-length');
  return pairs(raw).flatMap(([name, value]) => {
    const key = name.toLowerCase();
    return HOP_BY_HOP.has(key) || named.has(key) || !isKept(key) ? [] : [name, value];
  });
}

function isForService(name: string): boolean {
  return name !== 'host' && !CREDENTIALS.has(name);
}

/** What an earlier proxy has said stays as it is. */
function withForwarded(headers: string[], { protocol, host, address }: Forwarded): string[] {
  const said = new Set(pairs(headers).map(([name]) => name.toLowerCase()));
  const added = Object.entries({
    'X-Forwarded-Proto': protocol,
    'X-Forwarded-Host': host,
    'X-Forwarded-For': address,
  });
  return [...headers, ...added.filter(([name]) => !said.has(name.toLowerCase())).flat()];
}

function pairs(raw: RawHeaders): [name: string, value: string][] {
  const all: [string, string][] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) all.push([raw[at] ?? '', raw[at + 1] ?? '']);
  return all;
}
