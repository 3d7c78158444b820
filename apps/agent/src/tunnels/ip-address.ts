import { BlockList, isIP } from 'node:net';

/** An IP address in one spelling; IPv4 that was written as IPv6 (`::ffff:10.0.0.1`) is IPv4 here. */
export interface IpAddress {
  /** As `connect` takes it: numbers only, so that nothing is looked up. */
  readonly text: string;
  readonly family: 'ipv4' | 'ipv6';
  /** The IPv4 addresses that a translator or a tunnel may take this one for. */
  readonly embedded: readonly IpAddress[];
}

/** Reads an address in a usual spelling; undefined for anything else, and for one with a zone (`fe80::1%eth0`). */
export function parseIp(text: string): IpAddress | undefined {
  switch (isIP(text)) {
    case 4:
      return ipv4(text);
    case 6:
      return parseIpv6(text);
    default:
      return undefined;
  }
}

/** Addresses with a common beginning. */
export class Network {
  readonly family: IpAddress['family'];
  readonly #list = new BlockList();

  constructor(address: IpAddress, bits: number) {
    this.family = address.family;
    this.#list.addSubnet(address.text, bits, address.family);
  }

  /** Throws for a text that is no network: for constants. */
  static of(text: string): Network {
    const [address = '', bits] = text.split('/');
    const ip = parseIp(address);
    if (ip === undefined) throw new Error(`${text} is no network`);
    return new Network(ip, bits === undefined ? bitsOf(ip.family) : Number(bits));
  }

  /** Whether the address itself is in it; what is embedded in it does not count. */
  has({ text, family }: IpAddress): boolean {
    return family === this.family && this.#list.check(text, family);
  }
}

/** How long addresses of a family are. */
export function bitsOf(family: IpAddress['family']): number {
  return family === 'ipv4' ? 32 : 128;
}

/** An address and a port as one reads them: brackets round IPv6. */
export function endpoint(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function ipv4(text: string): IpAddress {
  return { text, family: 'ipv4', embedded: [] };
}

function parseIpv6(text: string): IpAddress | undefined {
  const canonical = URL.parse(`http://[${text}]`)?.hostname.slice(1, -1);
  if (canonical === undefined) return undefined;
  const groups = groupsOf(canonical);
  if (isZero(groups.slice(0, 5)) && groups[5] === 0xffff) return fromGroups(groups[6], groups[7]);
  return { text: canonical, family: 'ipv6', embedded: embeddedIn(groups) };
}

function groupsOf(canonical: string): number[] {
  const [head = '', tail = ''] = canonical.split('::');
  const left = wordsOf(head);
  const right = wordsOf(tail);
  return [...left, ...Array.from({ length: 8 - left.length - right.length }, () => 0), ...right];
}

function wordsOf(text: string): number[] {
  return text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16));
}

function embeddedIn(groups: readonly number[]): IpAddress[] {
  const [a, b, c, d, e = 0, f, g = 0, h = 0] = groups;
  // IPv4-compatible (RFC 4291 §2.5.5.1); `::` and `::1` only look like it.
  if (isZero(groups.slice(0, 6)) && (g !== 0 || h > 1)) return [fromGroups(g, h)];
  // IPv4-translated (RFC 2765), and the well-known prefix of NAT64 (RFC 6052).
  if (isZero(groups.slice(0, 4)) && e === 0xffff && f === 0) return [fromGroups(g, h)];
  if (a === 0x64 && b === 0xff9b && isZero(groups.slice(2, 6))) return [fromGroups(g, h)];
  // 6to4 (RFC 3056), Teredo (RFC 4380: the server, and the client with its bits turned), ISATAP (RFC 5214).
  if (a === 0x2002) return [fromGroups(b, c)];
  if (a === 0x2001 && b === 0) return [fromGroups(c, d), fromGroups(g ^ 0xffff, h ^ 0xffff)];
  if ((e & ~0x0200) === 0 && f === 0x5efe) return [fromGroups(g, h)];
  return [];
}

function fromGroups(high = 0, low = 0): IpAddress {
  return ipv4([high >> 8, high & 0xff, low >> 8, low & 0xff].join('.'));
}

function isZero(groups: readonly number[]): boolean {
  return groups.every((group) => group === 0);
}
