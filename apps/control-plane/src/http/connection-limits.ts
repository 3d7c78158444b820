import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { addressKey } from '../limits/address-key.ts';

export interface ConnectionLimits {
  /** Connections of the server; the next is dropped. */
  readonly connectionsMax: number;
  /** Connections of one address, idle ones too; the next is dropped. Upgraded ones do not count: they are bounded where they go. */
  readonly perAddressMax: number;
  /** Whole crowds come by one address: our own proxies. */
  readonly isExempt: (address: string) => boolean;
  /** Somebody met a bound. May be called for every connection of a flood. */
  readonly onDropped: (address: string) => void;
}

/** Bounds how many connections a server keeps, before TLS and before the first byte. */
export function limitConnections(server: Server, limits: ConnectionLimits): void {
  const counts = new Map<string, number>();
  /** By both ends of the connection: over TLS an upgrade shows another socket than the one that came in. */
  const counted = new Map<string, () => void>();
  server.maxConnections = limits.connectionsMax;
  server.on('drop', (data) => limits.onDropped(data?.remoteAddress ?? 'unknown'));
  server.on('connection', (socket) => {
    const { remoteAddress } = socket;
    if (remoteAddress === undefined || limits.isExempt(remoteAddress)) return;
    const address = addressKey(remoteAddress);
    const count = counts.get(address) ?? 0;
    if (count >= limits.perAddressMax) {
      limits.onDropped(remoteAddress);
      socket.destroy();
      return;
    }
    counts.set(address, count + 1);
    const ends = endsOf(socket);
    const leave = () => {
      if (!counted.delete(ends)) return;
      const left = (counts.get(address) ?? 1) - 1;
      if (left === 0) counts.delete(address);
      else counts.set(address, left);
    };
    counted.set(ends, leave);
    socket.once('close', leave);
  });
  server.on('upgrade', (request) => counted.get(endsOf(request.socket))?.());
}

function endsOf({ remoteAddress, remotePort, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localPort}`;
}
