import { posix } from 'node:path';
import { isIPv4 } from 'node:net';
import { ControlError } from '@drawbridge/protocol';
import { Network, bitsOf, parseIp } from './ip-address.ts';
import type { IpAddress } from './ip-address.ts';
import { parseHost } from './target-host.ts';

/** Which hosts an entry means. `loopback`: it names this machine. */
type HostPattern =
  | { readonly is: 'any' | 'loopback' }
  | { readonly is: 'network'; readonly network: Network }
  | { readonly is: 'name'; readonly name: string }
  | { readonly is: 'suffix'; readonly suffix: string };

/** One entry of `tunnels.allow` or `tunnels.deny`. */
export type TargetRule =
  | { readonly is: 'unix'; readonly text: string; readonly path: string }
  | { readonly is: 'host'; readonly text: string; readonly host: HostPattern; readonly ports: PortRange };

interface PortRange {
  readonly first: number;
  readonly last: number;
}

const PORT_MAX = 65_535;
const UNIX_PREFIX = 'unix:';
/** What the kernel takes for the path of a socket, less what some systems take off. */
const UNIX_PATH_BYTES_MAX = 104;

/**
 * Reads an entry: `HOST`, `HOST:PORT`, `HOST:FIRST-LAST`, `HOST:*` or `unix:/PATH`. HOST is an address, a network, a name,
 * `*.SUFFIX` or `*`; IPv6 with ports stands in brackets. Throws ControlError `invalid_request` with the reason.
 */
export function parseTargetRule(text: string): TargetRule {
  if (text.startsWith(UNIX_PREFIX)) return { is: 'unix', text, path: unixPath(text.slice(UNIX_PREFIX.length)) };
  const [host, ports] = splitPorts(text);
  return { is: 'host', text, host: hostPattern(host), ports: portRange(ports) };
}

/** What is wrong with an entry; undefined when nothing is. */
export function whyNoTargetRule(text: string): string | undefined {
  try {
    parseTargetRule(text);
    return undefined;
  } catch (error) {
    if (error instanceof ControlError) return `${JSON.stringify(text)}: ${error.message}`;
    throw error;
  }
}

/** Whether an entry is about this port; one without a port is about all. */
export function hasPort({ ports }: TargetRule & { is: 'host' }, port: number): boolean {
  return ports.first <= port && port <= ports.last;
}

/** Whether an entry means this name itself, whatever its address. */
export function meansName({ host }: TargetRule & { is: 'host' }, name: string): boolean {
  switch (host.is) {
    case 'any':
      return true;
    case 'name':
      return name === host.name;
    case 'suffix':
      return name.endsWith(host.suffix);
    default:
      return false;
  }
}

/**
 * Whether an entry means this address. This machine is 127.0.0.1 and ::1 to an entry that allows, and all of 127.0.0.0/8 to
 * one that denies: a service that listens everywhere answers at each of them.
 */
export function meansAddress(
  { host }: TargetRule & { is: 'host' },
  ip: IpAddress,
  loopback: readonly Network[],
): boolean {
  if (host.is === 'any') return true;
  if (host.is === 'loopback') return loopback.some((network) => network.has(ip));
  return host.is === 'network' && host.network.has(ip);
}

function splitPorts(text: string): [host: string, ports: string | undefined] {
  if (text.startsWith('[')) {
    const [, host, ports] = /^\[([^\]]*)\](?::(.*))?$/.exec(text) ?? [];
    if (host === undefined || !host.includes(':'))
      throw invalid('expected an IPv6 address or network in brackets, then :PORT');
    return [host, ports];
  }
  const [host = '', ports, ...more] = text.split(':');
  // Several colons: IPv6 without brackets, and so without ports.
  return more.length > 0 ? [text, undefined] : [host, ports];
}

function hostPattern(text: string): HostPattern {
  if (text === '') throw invalid('it names no host');
  if (text === '*') return { is: 'any' };
  if (text.includes('/')) return { is: 'network', network: network(text) };
  if (text.startsWith('*.')) return { is: 'suffix', suffix: `.${nameOf(text.slice(2))}` };
  if (text.includes('*')) throw invalid('* stands for a whole host, or for what comes before .SUFFIX');
  const host = parseHost(text);
  if (host.is === 'name') return host.name === 'localhost' ? { is: 'loopback' } : host;
  const { ip } = host;
  if (!text.includes(':') && !isIPv4(text)) throw invalid(`write the address as ${ip.text}`);
  if (ip.text === '127.0.0.1' || ip.text === '::1') return { is: 'loopback' };
  return { is: 'network', network: new Network(ip, bitsOf(ip.family)) };
}

function nameOf(text: string): string {
  const host = text.includes('*') ? undefined : parseHost(text);
  if (host?.is !== 'name') throw invalid('expected a name after *.');
  return host.name;
}

function network(text: string): Network {
  const [address = '', bitsText = '', ...more] = text.split('/');
  const ip = parseIp(address);
  if (ip === undefined || more.length > 0) throw invalid(`${text} is no network: expected ADDRESS/BITS`);
  if (ip.family === 'ipv4' && address.includes(':')) throw invalid('write a network of IPv4 addresses as IPv4');
  const bits = /^\d{1,3}$/.test(bitsText) ? Number(bitsText) : Number.NaN;
  if (!(bits <= bitsOf(ip.family))) throw invalid(`/${bitsText} is not between 0 and ${bitsOf(ip.family)}`);
  return new Network(ip, bits);
}

function portRange(text: string | undefined): PortRange {
  if (text === undefined || text === '*') return { first: 1, last: PORT_MAX };
  const [firstText = '', lastText = firstText, ...more] = text.split('-');
  if (more.length > 0) throw invalid(`${text} is no port: expected PORT, FIRST-LAST or *`);
  const first = port(firstText);
  const last = port(lastText);
  if (last < first) throw invalid(`ports ${text} end before they begin`);
  return { first, last };
}

function port(text: string): number {
  const value = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > PORT_MAX) throw invalid(`${text} is no port: expected 1 to ${PORT_MAX}, FIRST-LAST or *`);
  return value;
}

function unixPath(path: string): string {
  if (!path.startsWith('/') || path === '/') throw invalid('expected unix: and an absolute path');
  if (posix.normalize(path) !== path || path.endsWith('/')) throw invalid(`write the path as ${posix.resolve(path)}`);
  if (path.includes('\0')) throw invalid('a path has no NUL');
  if (Buffer.byteLength(path) > UNIX_PATH_BYTES_MAX)
    throw invalid(`the path of a socket has ${UNIX_PATH_BYTES_MAX} bytes at most`);
  return path;
}

function invalid(reason: string): ControlError {
  return new ControlError('invalid_request', reason);
}
