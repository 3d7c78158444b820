import { readFile } from 'node:fs/promises';

/** Bytes all interfaces but loopback have carried since the machine started. */
export interface NetworkBytes {
  readonly received: number;
  readonly sent: number;
}

/** The counters now; undefined on a system without /proc/net/dev. */
export async function readNetworkBytes(path = '/proc/net/dev'): Promise<NetworkBytes | undefined> {
  try {
    return parseNetDev(await readFile(path, 'utf8'));
  } catch {
    return undefined;
  }
}

/** Sums the lines `name: received … sent …` of /proc/net/dev, loopback left out. */
export function parseNetDev(text: string): NetworkBytes {
  let received = 0;
  let sent = 0;
  for (const line of text.split('\n')) {
    const [, name, numbers = ''] = /^\s*([^:\s]+):(.*)$/.exec(line) ?? [];
    if (name === undefined || name === 'lo') continue;
    // Eight counters for what came, eight for what went; bytes are the first of each.
    const counters = numbers.trim().split(/\s+/).map(Number);
    received += counters[0] ?? 0;
    sent += counters[8] ?? 0;
  }
  return { received, sent };
}

/** Bytes per second from one sample to the next. A counter that went back belongs to an interface that came or left: 0. */
export function bandwidth(from: NetworkBytes, to: NetworkBytes, elapsedMs: number) {
  const perSecond = (bytes: number) => (elapsedMs > 0 ? Math.max(0, (bytes * 1000) / elapsedMs) : 0);
  return {
    received_bytes_per_second: perSecond(to.received - from.received),
    sent_bytes_per_second: perSecond(to.sent - from.sent),
  };
}
