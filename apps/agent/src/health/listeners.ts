import { readFile, readdir, readlink } from 'node:fs/promises';
import type { Clock } from '@drawbridge/link';
import { AGENT_LIMITS } from '../limits.ts';
import { parseSocketTable, type SocketTable } from './socket-table.ts';

const TABLES = ['tcp', 'tcp6', 'udp', 'udp6'] as const satisfies readonly SocketTable[];

/**
 * The self-check that this process can be reached on no port (S0-002, S0-104). What counts:
 *
 * - TCP: every socket in state LISTEN, on any address, loopback too.
 * - UDP: a connected socket (state ESTABLISHED) takes packets from its one peer and never counts. One that is bound and
 *   unconnected takes packets from anyone; but so does, for a moment, the socket of some resolvers. It counts once it has
 *   been seen by checks at least `udpLookupMs` apart: no lookup lasts that long, and a server's socket does.
 * - A socket without a port cannot be reached and is not in the tables at all.
 *
 * Only the sockets of this process are asked about, not those of tasks, and only in its own network namespace.
 */
export class ListenerCheck {
  readonly #clock: Clock;
  readonly #procDir: string;
  /** When each unconnected UDP socket was first seen, by inode. */
  #udpSeenAt = new Map<string, number>();

  constructor(clock: Clock, procDir = '/proc/self') {
    this.#clock = clock;
    this.#procDir = procDir;
  }

  /** The addresses this process listens on, such as `tcp 127.0.0.1:7400`; undefined on a system without /proc. */
  async listeners(): Promise<readonly string[] | undefined> {
    const own = await this.#ownInodes();
    if (own === undefined) return undefined;
    const sockets = (await Promise.all(TABLES.map((table) => this.#table(table)))).flat();
    const reachable = sockets.filter((socket) => own.has(socket.inode) && socket.isReachable);
    const now = this.#clock.monotonic();
    const udp = reachable.filter((socket) => socket.table.startsWith('udp'));
    this.#udpSeenAt = new Map(udp.map(({ inode }) => [inode, this.#udpSeenAt.get(inode) ?? now]));
    return reachable
      .filter(({ inode }) => now - (this.#udpSeenAt.get(inode) ?? -Infinity) >= AGENT_LIMITS.udpLookupMs)
      .map((socket) => `${socket.table} ${socket.address}`);
  }

  async #ownInodes(): Promise<ReadonlySet<string> | undefined> {
    const fdDir = `${this.#procDir}/fd`;
    const fds = await readdir(fdDir).catch(() => undefined);
    if (fds === undefined) return undefined;
    // A descriptor may be closed between the two calls: then it listens on nothing.
    const targets = await Promise.all(fds.map((fd) => readlink(`${fdDir}/${fd}`).catch(() => '')));
    return new Set(targets.flatMap((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? []));
  }

  async #table(table: SocketTable) {
    // Without IPv6 there is no table of it.
    const text = await readFile(`${this.#procDir}/net/${table}`, 'latin1').catch(() => '');
    return parseSocketTable(table, text);
  }
}
