import { isLoopbackHost } from '@drawbridge/runtime';
import { ControlError } from '@drawbridge/protocol';

export interface HostPolicyConfig {
  readonly host: string;
  readonly public_url?: string | undefined;
  readonly allowed_hosts: readonly string[];
}

const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/**
 * Which names this server answers to. A page of an attacker can make its own name point at our address (DNS rebinding): then
 * the browser takes us for the attacker's server, and only the Host header tells. Ports do not matter.
 */
export class HostPolicy {
  readonly #names: ReadonlySet<string>;
  readonly #listenHost: string;
  /** Nothing says how it is called, so the address a connection came in by is a name of it: an address cannot be rebound. */
  readonly #takesOwnAddress: boolean;

  constructor({ host, public_url: publicUrl, allowed_hosts: allowedHosts }: HostPolicyConfig) {
    const isWildcard = WILDCARDS.has(bare(host));
    const named = allowedHosts.length > 0 ? allowedHosts : isWildcard ? [] : [host];
    const publicHost = publicUrl === undefined ? undefined : hostNameOf(new URL(publicUrl).host);
    this.#names = new Set([...named.map(normalised), ...(publicHost === undefined ? [] : [publicHost])]);
    this.#listenHost = host;
    this.#takesOwnAddress = isWildcard && publicUrl === undefined && allowedHosts.length === 0;
  }

  /**
   * Throws ControlError `forbidden` for a request that was meant for another server. `localAddress` is our end of its
   * connection: over loopback, the names of loopback are ours too.
   */
  check(host: string | undefined, localAddress: string | undefined): void {
    const name = host === undefined ? undefined : hostNameOf(host);
    if (name === undefined) throw new ControlError('forbidden', 'the Host header of this request is missing or broken');
    const local = bare(localAddress ?? this.#listenHost);
    if (this.#names.has(name) || (isLoopbackHost(local) && isLoopbackHost(name))) return;
    if (this.#takesOwnAddress && normalised(local) === name) return;
    throw new ControlError('forbidden', `this server is not called ${name}: add that name to listen.allowed_hosts`);
  }
}

/** The name of `name[:port]`, as a URL has it: lower case, addresses in their one form. Undefined when it is neither. */
function hostNameOf(host: string): string | undefined {
  if (!/^[A-Za-z0-9._:[\]-]{1,260}$/.test(host)) return undefined;
  const name = URL.parse(`http://${host}/`)?.hostname.replace(/\.$/, '');
  return name === undefined || name === '' ? undefined : name;
}

function normalised(name: string): string {
  const host = name.includes(':') && !name.startsWith('[') ? `[${name}]` : name;
  return hostNameOf(host) ?? name;
}

/** An address without brackets, and IPv4 as IPv4. */
function bare(address: string): string {
  return address.replace(/^\[|\]$/g, '').replace(/^::ffff:(?=\d+\.)/i, '');
}
