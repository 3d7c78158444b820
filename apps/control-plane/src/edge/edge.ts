import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { ControlError } from '@drawbridge/protocol';
import { isLoopbackHost } from '@drawbridge/runtime';
import type { ServerConfig } from '../config.ts';
import { addressList } from './address-list.ts';
import { requireTrustedCertificate } from './client-certificate.ts';
import { clientAddress } from './client-address.ts';
import { HostPolicy } from './host-policy.ts';
import { rawUrlOf } from '../proxy/sandbox-path.ts';
import { requireNoCredentialsInUrl } from './url-credentials.ts';

/** Who sent a request, and to what, behind whatever proxies of ours it came through. */
export interface Caller {
  readonly address: string;
  /** The host it was sent to, with its port; empty when it does not say. */
  readonly host: string;
  readonly protocol: 'http' | 'https';
}

/** Load balancers probe by address; these say nothing but "up". */
export const PROBES: ReadonlySet<string> = new Set(['/healthz', '/readyz']);

/** What every request passes before anything else, an upgrade to a WebSocket too. */
export class Edge {
  readonly #isTrustedProxy: (address: string) => boolean;
  readonly #hosts: HostPolicy;
  readonly #isPlainAllowed: boolean;

  constructor({ listen }: Pick<ServerConfig, 'listen'>) {
    this.#isTrustedProxy = addressList('listen.trusted_proxies', listen.trusted_proxies);
    this.#hosts = new HostPolicy(listen);
    this.#isPlainAllowed = isLoopbackHost(listen.host);
  }

  /** Who it is from, and its own words for us. What a header claims counts only from a proxy of ours. */
  callerOf(request: IncomingMessage): Caller {
    const { remoteAddress = '' } = request.socket;
    const isProxied = this.#isTrustedProxy(remoteAddress);
    const proxied = (name: string) => (isProxied ? lastOf(request.headers[name]) : undefined);
    const isTls = request.socket instanceof TLSSocket;
    return {
      address: clientAddress(remoteAddress, joined(request.headers['x-forwarded-for']), this.#isTrustedProxy),
      host: proxied('x-forwarded-host') ?? request.headers.host ?? '',
      protocol: (proxied('x-forwarded-proto') ?? (isTls ? 'https' : 'http')) === 'https' ? 'https' : 'http',
    };
  }

  /**
   * Refuses, with a ControlError: credentials in the URL; plain HTTP past a proxy that should have been in between; a client
   * certificate nobody signed; a name that is not ours. Who shows a bearer token may use any name, as no page does by itself: once
   * the token turns out to be nobody's, `requireOwnName` is for the caller to ask.
   */
  admit(request: IncomingMessage): Caller {
    requireNoCredentialsInUrl(rawUrlOf(request));
    const caller = this.callerOf(request);
    if (PROBES.has(request.url ?? '')) return caller;
    this.#requireTls(request);
    requireTrustedCertificate(request.socket);
    if (request.headers.authorization === undefined) this.requireOwnName(caller.host, request.socket);
    return caller;
  }

  /** Throws ControlError `forbidden` when `host`, what a caller asked for, is not a name of ours. */
  requireOwnName(host: string, { localAddress }: Pick<Socket, 'localAddress'>): void {
    this.#hosts.check(host, localAddress);
  }

  #requireTls({ socket }: IncomingMessage): void {
    const { remoteAddress = '' } = socket;
    if (this.#isPlainAllowed || socket instanceof TLSSocket) return;
    if (this.#isTrustedProxy(remoteAddress) || isLoopbackHost(remoteAddress.replace(/^::ffff:/i, ''))) return;
    throw new ControlError(
      'forbidden',
      'plain HTTP is served to our own proxies only: use https, or add this proxy to listen.trusted_proxies',
    );
  }
}

/** The proxy next to us wrote the last entry; what stands before came from further away. */
function lastOf(header: string | string[] | undefined): string | undefined {
  const last = joined(header)?.split(',').at(-1)?.trim();
  return last === '' ? undefined : last;
}

function joined(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header.join(',') : header;
}
