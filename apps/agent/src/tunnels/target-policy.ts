import { Network, endpoint } from './ip-address.ts';
import type { IpAddress } from './ip-address.ts';
import { hasPort, meansAddress, meansName, parseTargetRule } from './target-rule.ts';
import type { TargetRule } from './target-rule.ts';

/** Entries of the agent's own file; `deny` is stronger. See docs/configuration.md. */
export interface TargetLists {
  readonly allow: readonly string[];
  readonly deny: readonly string[];
}

/**
 * Never dialled, whatever the file says: where clouds give credentials to whoever asks, and what is no host at all. In
 * 64:ff9b:1::/48 (RFC 8215) nobody but the network knows which IPv4 address is meant.
 */
const ALWAYS_REFUSED = [
  '0.0.0.0/8',
  '100.100.100.200',
  '168.63.129.16',
  '169.254.0.0/16',
  '224.0.0.0/4',
  '255.255.255.255',
  '::',
  '64:ff9b:1::/48',
  'fd00:ec2::254',
  'fd20:ce::254',
  'fe80::/10',
  'ff00::/8',
].map((text) => ({ text, network: Network.of(text) }));

const ALLOWED_LOOPBACK = ['127.0.0.1', '::1'].map((text) => Network.of(text));
const DENIED_LOOPBACK = ['127.0.0.0/8', '::1'].map((text) => Network.of(text));

type HostRule = TargetRule & { is: 'host' };

/** What this agent's own file lets tunnels reach. Each answer is why not, with the rule; undefined is yes. */
export class TargetPolicy {
  readonly #allow: readonly TargetRule[];
  readonly #deny: readonly TargetRule[];

  /** Throws ControlError `invalid_request` for an entry that says nothing. */
  constructor({ allow, deny }: TargetLists) {
    this.#allow = allow.map(parseTargetRule);
    this.#deny = deny.map(parseTargetRule);
  }

  /** Sockets are reached by the very path that is listed. */
  refusalOfUnix(path: string): string | undefined {
    const isListed = (rule: TargetRule) => rule.is === 'unix' && rule.path === path;
    const denied = this.#deny.find(isListed);
    if (denied !== undefined) return isDenied(denied);
    return this.#allow.some(isListed) ? undefined : NOT_ALLOWED;
  }

  /** Before a name is looked up: whether any of its addresses could do. */
  refusalOfName(name: string, port: number): string | undefined {
    const denied = this.#deny.filter(isHostRule).find((rule) => hasPort(rule, port) && meansName(rule, name));
    if (denied !== undefined) return isDenied(denied);
    return this.#allow.filter(isHostRule).some((rule) => hasPort(rule, port)) ? undefined : NOT_ALLOWED;
  }

  /** `name` is what led to the address, if a name did. An entry for the name allows it; nothing but the address is denied. */
  refusalOfAddress(ip: IpAddress, port: number, name?: string): string | undefined {
    // What a translator would make of it is refused too; it is not allowed for that.
    const forms = [ip, ...ip.embedded];
    const refused = ALWAYS_REFUSED.find(({ network }) => forms.some((form) => network.has(form)));
    if (refused !== undefined) return `${refused.text} is always refused`;
    const denied = this.#deny
      .filter(isHostRule)
      .find((rule) => hasPort(rule, port) && forms.some((form) => meansAddress(rule, form, DENIED_LOOPBACK)));
    if (denied !== undefined) return isDenied(denied);
    const allows = (rule: HostRule) =>
      hasPort(rule, port) &&
      (meansAddress(rule, ip, ALLOWED_LOOPBACK) || (name !== undefined && meansName(rule, name)));
    return this.#allow.filter(isHostRule).some(allows) ? undefined : NOT_ALLOWED;
  }
}

/** A target as messages name it: what was asked for, and the address it turned out to be. */
export function targetName(ip: IpAddress, port: number, name?: string): string {
  return name === undefined ? endpoint(ip.text, port) : `${name}:${port} (${ip.text})`;
}

const NOT_ALLOWED = 'no entry of tunnels.allow fits';

function isDenied(rule: TargetRule): string {
  return `tunnels.deny has ${rule.text}`;
}

function isHostRule(rule: TargetRule): rule is HostRule {
  return rule.is === 'host';
}
