import { isIPv4, isIPv6 } from 'node:net';

const GROUPS = 8;
/** Whoever has one address of a /64 has them all (RFC 4291 §2.5.4). */
const NETWORK_GROUPS = 4;

/**
 * What an address is counted under: IPv4 as it is, however it is written; IPv6 by its /64, so that one customer does not count
 * as 2^64.
 */
export function addressKey(address: string): string {
  const [plain = ''] = address.toLowerCase().split('%', 1);
  const mapped = /^::ffff:(?<ipv4>\d+\.\d+\.\d+\.\d+)$/.exec(plain)?.groups?.['ipv4'];
  if (mapped !== undefined && isIPv4(mapped)) return mapped;
  if (!isIPv6(plain)) return plain;
  return `${groupsOf(plain).slice(0, NETWORK_GROUPS).join(':')}::/64`;
}

/** All eight groups, without leading zeros. An IPv4 tail is two of them, whose value nobody here looks at. */
function groupsOf(address: string): string[] {
  const [head = '', tail] = address.replace(/\d+\.\d+\.\d+\.\d+$/, '0:0').split('::');
  const first = split(head);
  const last = split(tail ?? '');
  const gap = tail === undefined ? 0 : GROUPS - first.length - last.length;
  return [...first, ...Array.from({ length: gap }, () => '0'), ...last];
}

function split(part: string): string[] {
  return part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16).toString(16));
}
