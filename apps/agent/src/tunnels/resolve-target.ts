import { ControlError } from '@drawbridge/protocol';
import type { TunnelTarget } from '@drawbridge/protocol';
import { parseIp } from './ip-address.ts';
import type { IpAddress } from './ip-address.ts';
import type { NameLookup } from './name-lookup.ts';
import { parseHost, printable } from './target-host.ts';
import { targetName } from './target-policy.ts';
import type { TargetPolicy } from './target-policy.ts';

/** Where to connect, checked: an address as numbers, so that nothing is looked up again. */
export type DialAddress = { readonly address: string; readonly port: number } | { readonly unix: string };

/** Names of this machine itself (RFC 6761 §6.3): no resolver has a say in them. */
const LOCALHOST = ['127.0.0.1', '::1'];

/**
 * What may be dialled for a target, in order of preference; at least one. Names are looked up once, and each of their addresses is
 * checked. Rejects with ControlError: `forbidden` names the target and the rule, `invalid_request`, `target_unreachable`.
 */
export async function resolveTarget(
  target: TunnelTarget,
  { policy, names }: { policy: TargetPolicy; names: NameLookup },
  signal: AbortSignal,
): Promise<readonly DialAddress[]> {
  if ('unix' in target) {
    const reason = policy.refusalOfUnix(target.unix);
    if (reason !== undefined) throw forbidden(`unix:${printable(target.unix)}`, reason);
    return [target];
  }
  const { port } = target;
  const host = parseHost(target.host);
  if (host.is === 'address') return checked([host.ip], port, policy);
  const { name } = host;
  const reason = policy.refusalOfName(name, port);
  if (reason !== undefined) throw forbidden(`${name}:${port}`, reason);
  const isLocal = name === 'localhost' || name.endsWith('.localhost');
  const found = isLocal ? LOCALHOST : await names.addresses(name, signal);
  const addresses = found.map((text) => parseIp(text)).filter((ip) => ip !== undefined);
  if (addresses.length === 0) throw forbidden(`${name}:${port}`, 'its addresses are of a kind that is not dialled');
  return checked(addresses, port, policy, name);
}

/** Those that may be dialled; when none may, the first one's reason is told. */
function checked(addresses: readonly IpAddress[], port: number, policy: TargetPolicy, name?: string): DialAddress[] {
  const verdicts = addresses.map((ip) => ({ ip, reason: policy.refusalOfAddress(ip, port, name) }));
  const allowed = verdicts.filter(({ reason }) => reason === undefined);
  const [first] = verdicts;
  if (allowed.length === 0 && first?.reason !== undefined)
    throw forbidden(targetName(first.ip, port, name), first.reason);
  return allowed.map(({ ip }) => ({ address: ip.text, port }));
}

function forbidden(target: string, reason: string): ControlError {
  return new ControlError('forbidden', `${target} is not dialled: ${reason}`);
}
