import { BlockList, isIP } from 'node:net';

/** Environment variables, as `process.env` has them. */
export type Env = Readonly<Record<string, string | undefined>>;

/** Which proxy the configuration names; without one the environment decides. */
export interface ProxyChoice {
  /** http:// or https://, with credentials in it if the proxy wants some. */
  readonly proxy?: string | undefined;
  /** Hosts that are dialled directly, in the manner of NO_PROXY. */
  readonly noProxy?: string | undefined;
  readonly env?: Env;
}

/**
 * The proxy to dial `url` through, as text, or undefined for a direct connection. A proxy that is configured counts for every
 * host; one from HTTPS_PROXY or HTTP_PROXY never for this machine itself.
 */
export function proxyFor(url: URL, { proxy, noProxy, env = process.env }: ProxyChoice): string | undefined {
  if (proxy !== undefined) return isExcepted(url, noProxy ?? '') ? undefined : proxy;
  const name = isSecure(url) ? 'HTTPS_PROXY' : 'HTTP_PROXY';
  const found = fromEnv(env, name);
  if (found === undefined || isLoopbackHost(hostOf(url))) return undefined;
  return isExcepted(url, noProxy ?? fromEnv(env, 'NO_PROXY') ?? '') ? undefined : found;
}

/** Whether the connection to `url` is encrypted. */
export function isSecure(url: URL): boolean {
  return url.protocol === 'wss:' || url.protocol === 'https:';
}

/** The host of `url` as the network wants it: an IPv6 address without brackets. */
export function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}

/** The port of `url`, the default of its scheme included. */
export function portOf(url: URL): number {
  if (url.port !== '') return Number(url.port);
  return isSecure(url) ? 443 : 80;
}

/** Whether `host` names this machine: `localhost`, 127.0.0.0/8 or ::1. */
export function isLoopbackHost(host: string): boolean {
  const name = host.replace(/^\[|\]$/g, '').toLowerCase();
  return (
    name === 'localhost' || name.endsWith('.localhost') || (isIP(name) !== 0 && LOOPBACK.check(name, familyOf(name)))
  );
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

function fromEnv(env: Env, name: string): string | undefined {
  const value = env[name.toLowerCase()] ?? env[name];
  return value === '' ? undefined : value;
}

function isExcepted(url: URL, noProxy: string): boolean {
  const entries = noProxy.split(/[\s,]+/).filter((entry) => entry !== '');
  return entries.some((entry) => entry === '*' || matches(entry.toLowerCase(), hostOf(url), portOf(url)));
}

/** One entry: a name (its subdomains too), an address, a network (10.0.0.0/8), each but the last with an optional port. */
function matches(entry: string, host: string, port: number): boolean {
  const [address = '', bits] = entry.split('/');
  if (bits !== undefined)
    return isIP(host) === isIP(address) && isIP(host) !== 0 && isInNetwork(host, address, Number(bits));
  if (isIP(entry) !== 0) return entry === host;
  const [, name = entry, wantedPort] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? [];
  if (wantedPort !== undefined && Number(wantedPort) !== port) return false;
  const domain = name.replace(/^\*?\./, '').replace(/^\[|\]$/g, '');
  return host === domain || host.endsWith(`.${domain}`);
}

function isInNetwork(host: string, address: string, bits: number): boolean {
  if (!Number.isInteger(bits) || bits < 0 || bits > (isIP(address) === 6 ? 128 : 32)) return false;
  const network = new BlockList();
  network.addSubnet(address, bits, familyOf(address));
  return network.check(host, familyOf(host));
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4';
}
