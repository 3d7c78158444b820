import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** A port a process takes connections or datagrams on. */
export interface Listener {
  readonly protocol: 'tcp' | 'tcp6' | 'udp' | 'udp6';
  readonly address: string;
  readonly port: number;
}

const PROTOCOLS = ['tcp', 'tcp6', 'udp', 'udp6'] as const;
/** Of the kernel's socket states: a TCP socket that listens, a UDP socket that takes datagrams from anybody. */
const LISTENING_STATES = { tcp: '0A', tcp6: '0A', udp: '07', udp6: '07' } as const;

/** What a process listens on, in its own network namespace. Reads Linux's /proc. */
export function listenersOf(pid: number): Listener[] {
  const inodes = new Set(socketInodesOf(pid));
  return PROTOCOLS.flatMap((protocol) =>
    readTable(pid, protocol)
      .map((line) => line.trim().split(/\s+/))
      .filter(([, , , state, , , , , , inode = '']) => state === LISTENING_STATES[protocol] && inodes.has(inode))
      .map(([, local = '']) => parseListener(protocol, local)),
  );
}

function socketInodesOf(pid: number): string[] {
  const dir = `/proc/${pid}/fd`;
  return readdirSync(dir).flatMap((fd) => {
    const inode = /^socket:\[(\d+)\]$/.exec(readLinkIfThere(`${dir}/${fd}`))?.[1];
    return inode === undefined ? [] : [inode];
  });
}

/** A file may be closed between listing and reading. */
function readLinkIfThere(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

/** The lines under the heading. A machine without IPv6 has no such table. */
function readTable(pid: number, protocol: Listener['protocol']): string[] {
  try {
    return readFileSync(`/proc/${pid}/net/${protocol}`, 'utf8').trim().split('\n').slice(1);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

/** `0100007F:1F90` is 127.0.0.1:8080: the address in words of the machine's byte order, the port in plain hex. */
function parseListener(protocol: Listener['protocol'], local: string): Listener {
  const [hexAddress = '', hexPort = ''] = local.split(':');
  const words = hexAddress.match(/.{8}/g) ?? [];
  const bytes = Buffer.concat(words.map((word) => Buffer.from(word, 'hex').reverse()));
  return { protocol, address: formatAddress(bytes), port: Number.parseInt(hexPort, 16) };
}

function formatAddress(bytes: Buffer): string {
  if (bytes.byteLength === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16)).join(':');
  // The URL parser knows the short form.
  return new URL(`http://[${groups}]`).hostname.slice(1, -1);
}
