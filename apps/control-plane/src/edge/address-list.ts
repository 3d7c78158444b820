import { BlockList, isIP } from 'node:net';
import { ControlError } from '@drawbridge/protocol';

/**
 * Whether an address is on a list of addresses and networks. Throws ControlError `invalid_request` naming `key`, a setting,
 * and the entry that is neither.
 */
export function addressList(key: string, entries: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const entry of entries) add(list, key, entry);
  return (address) => {
    const plain = address.replace(/^::ffff:(?=\d+\.)/i, '');
    return isIP(plain) !== 0 && list.check(plain, familyOf(plain));
  };
}

function add(list: BlockList, key: string, entry: string): void {
  const [address = '', prefix, ...rest] = entry.split('/');
  const bits = prefix === undefined ? undefined : Number(prefix);
  const isPrefix = bits === undefined || (/^\d{1,3}$/.test(prefix ?? '') && bits <= (isIP(address) === 4 ? 32 : 128));
  if (isIP(address) === 0 || !isPrefix || rest.length > 0) {
    throw new ControlError('invalid_request', `${key}: ${entry} is neither an address nor a network`);
  }
  if (bits === undefined) list.addAddress(address, familyOf(address));
  else list.addSubnet(address, bits, familyOf(address));
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 4 ? 'ipv4' : 'ipv6';
}
