import { domainToASCII } from 'node:url';
import { ControlError } from '@drawbridge/protocol';
import { parseIp } from './ip-address.ts';
import type { IpAddress } from './ip-address.ts';

/** What a host turned out to be: an address however it was spelled, or a name for the resolver. */
export type TargetHost =
  { readonly is: 'address'; readonly ip: IpAddress } | { readonly is: 'name'; readonly name: string };

const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;
const NAME_CHARACTERS_MAX = 253;

/** Nothing of this is in a host; some of it would vanish from one, or end it, while it is parsed. */
const NOT_IN_A_HOST = /[\p{C}\s%/\\?#@:[\]<>^|"'`{}]/u;

/**
 * Reads a host in one way only, so that what is checked is what is dialled: decimal, octal, hexadecimal and short forms of IPv4
 * are the address they stand for, names are lower-case ASCII without a final dot. Throws ControlError `invalid_request`.
 */
export function parseHost(text: string): TargetHost {
  if (text.includes(':') || text.startsWith('[')) return { is: 'address', ip: parseIpv6(text) };
  if (NOT_IN_A_HOST.test(text)) throw invalid(text, 'it holds a character that hosts do not have');
  const ascii = domainToASCII(text);
  // Nothing is left of a name that cannot be one, and of an IPv4 address that is too long or too large.
  if (ascii === '') throw invalid(text, 'it is neither a name nor an address');
  const ip = parseIp(ascii);
  if (ip !== undefined) return { is: 'address', ip };
  const name = ascii.replace(/\.$/, '');
  if (name.length > NAME_CHARACTERS_MAX || !name.split('.').every((label) => LABEL.test(label)))
    throw invalid(text, 'it is neither a name nor an address');
  return { is: 'name', name };
}

/** A peer's text as it may stand in a message or a log: printable ASCII. */
export function printable(text: string): string {
  return text.replaceAll(/[^\u{20}-\u{7e}]/gu, '?').slice(0, NAME_CHARACTERS_MAX);
}

function parseIpv6(text: string): IpAddress {
  const address = /^\[(.*)\]$/s.exec(text)?.[1] ?? text;
  if (address.includes('%')) throw invalid(text, 'an address with a zone is not dialled');
  const ip = address.includes(':') ? parseIp(address) : undefined;
  if (ip === undefined) throw invalid(text, 'it is no IPv6 address');
  return ip;
}

function invalid(host: string, reason: string): ControlError {
  return new ControlError('invalid_request', `host ${printable(host)}: ${reason}`);
}
