/** The tables of /proc/net that list sockets with ports. */
export type SocketTable = 'tcp' | 'tcp6' | 'udp' | 'udp6';

/** One socket, as the kernel lists it. */
export interface ListedSocket {
  readonly table: SocketTable;
  readonly inode: string;
  /** `127.0.0.1:7400`, `[::1]:7400`. */
  readonly address: string;
  /** TCP: it accepts connections. UDP: it takes packets from anyone. */
  readonly isReachable: boolean;
}

/** States of the kernel's include/net/tcp_states.h, which the UDP tables use too: an unconnected socket is in CLOSE. */
const REACHABLE_STATE = { tcp: '0A', tcp6: '0A', udp: '07', udp6: '07' } as const satisfies Record<SocketTable, string>;

/** The lines of /proc/net/{tcp,tcp6,udp,udp6}: `sl local remote st queues timer retransmits uid timeout inode …`. */
export function parseSocketTable(table: SocketTable, text: string): readonly ListedSocket[] {
  return text.split('\n').flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    const [, local, , state, , , , , , inode] = fields;
    const [, address, port] = /^([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4})$/.exec(local ?? '') ?? [];
    if (address === undefined || port === undefined || inode === undefined) return [];
    const portNumber = Number.parseInt(port, 16);
    const isReachable = state === REACHABLE_STATE[table] && portNumber !== 0;
    return [{ table, inode, address: `${printAddress(address)}:${portNumber}`, isReachable }];
  });
}

/** The kernel prints an address as 32-bit words, each in the byte order of the machine: little endian wherever we run. */
function printAddress(hex: string): string {
  const words = hex.match(/.{8}/g) ?? [];
  const bytes = words.flatMap((word) => [...Buffer.from(word, 'hex')].reverse());
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, index) =>
    Buffer.from(bytes)
      .readUInt16BE(index * 2)
      .toString(16),
  );
  // The URL parser knows how to shorten an address; it keeps the brackets.
  return new URL(`http://[${groups.join(':')}]`).hostname;
}
