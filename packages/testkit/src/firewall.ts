import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { findProgram } from './find-program.ts';

const run = promisify(execFile);

/** Neighbour discovery is below connections, like ARP. */
const NFT_RULES = `table inet drawbridge {
  chain input {
    type filter hook input priority 0; policy drop;
    iif lo accept
    ct state established,related accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
  }
}`;

const IPTABLES_RULES = [
  ['-A', 'INPUT', '-i', 'lo', '-j', 'ACCEPT'],
  ['-A', 'INPUT', '-m', 'conntrack', '--ctstate', 'ESTABLISHED,RELATED', '-j', 'ACCEPT'],
  ['-P', 'INPUT', 'DROP'],
];

/** Drops, without a word, whatever comes into a network namespace and is no answer. Needs nft or iptables. */
export async function dropNewInbound(namespace: string): Promise<void> {
  const inside = (...command: string[]) => run('ip', ['netns', 'exec', namespace, ...command]);
  const nft = findProgram('nft');
  if (nft !== undefined) {
    await inside(nft, NFT_RULES);
    return;
  }
  const iptables = [findProgram('iptables'), findProgram('ip6tables')].filter((path) => path !== undefined);
  if (iptables.length === 0) throw new Error('neither nft nor iptables is here: install nftables or iptables');
  for (const path of iptables) for (const rule of IPTABLES_RULES) await inside(path, ...rule);
}
