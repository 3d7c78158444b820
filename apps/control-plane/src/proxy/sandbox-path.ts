import type { IncomingMessage } from 'node:http';

/** What a request asks for behind an agent. */
export interface SandboxAddress {
  /** An agent's id or name, or `<agent>.<container>`, as the caller has written it. */
  readonly sandbox: string;
  readonly port: number;
  /** The rest of the request's target with its query, byte for byte as it came; it begins with a slash. */
  readonly target: string;
}

const PREFIX =
  /^(?<prefix>(?:\/v1)?\/sandboxes\/(?<sandbox>[A-Za-z0-9._-]{1,128})\/proxy\/(?<port>[1-9]\d{0,4}))(?=[/?]|$)/;
const PORT_MAX = 65_535;

/** Reads `/sandboxes/{id}/proxy/{port}/…`, with or without `/v1`. Undefined for whatever is not exactly that. */
export function parseSandboxPath(url: string): SandboxAddress | undefined {
  const { prefix = '', sandbox = '', port = '' } = PREFIX.exec(url)?.groups ?? {};
  if (prefix === '' || Number(port) > PORT_MAX) return undefined;
  const rest = url.slice(prefix.length);
  return { sandbox, port: Number(port), target: rest.startsWith('/') ? rest : `/${rest}` };
}

/**
 * What the router sees of a request's target: of a proxied one the prefix alone. What follows is the service's, whatever a router
 * would make of its dots, escapes and query.
 */
export function routedUrl(request: Pick<IncomingMessage, 'url'>): string {
  const { url = '' } = request;
  const prefix = parseSandboxPath(url) === undefined ? undefined : PREFIX.exec(url)?.[0];
  if (prefix === undefined) return url;
  return url[prefix.length] === '/' ? `${prefix}/` : prefix;
}

/** A request's target as it came, whatever the router was shown. */
export function rawUrlOf(request: Pick<IncomingMessage, 'url'> & { readonly originalUrl?: string }): string {
  return request.originalUrl ?? request.url ?? '';
}
