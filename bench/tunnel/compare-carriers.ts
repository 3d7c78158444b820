import { scaled } from '@drawbridge/testkit';
import { median } from '../measure/median.ts';
import { peakMemory, resetPeakMemory } from '../measure/memory.ts';
import { percentile } from '../measure/percentile.ts';
import { type Figure, report } from '../measure/report.ts';
import { cpuMsOf } from '../measure/usage.ts';
import { type Carrier, type Part, PARTS } from './carrier.ts';
import type { TcpLoad } from './tcp-load.ts';

const STREAMS_MANY = 32;
const DIRECTIONS = ['up', 'down'] as const;
const ROUND_TRIPS = 2_000;
const MIB = 1024 * 1024;

const THROUGHPUT_RATIO_MIN = 1.5;
const ROUND_TRIP_RATIO_MAX = 1.1;

const REFERENCES = {
  ssh: { suffix: '', against: 'OpenSSH -L and -R over a local sshd, default cipher, same load and sink' },
  sshGcm: {
    suffix: '_beside_aes128_gcm',
    against: 'OpenSSH -L and -R over a local sshd, aes128-gcm@openssh.com, same load and sink',
  },
  pipes: {
    suffix: '_beside_pipes',
    against: 'three processes of Node in a row that only pipe, TLS between them, same load and sink',
  },
  socat: { suffix: '_beside_socat', against: 'three socat in a row, without encryption, same load and sink' },
} as const;

type Reference = keyof typeof REFERENCES;

/** What is compared, by its name in a figure; bigger numbers are not always better. */
type Round = Readonly<Record<string, number>>;

/** Few only where nothing but working is to be seen. */
function manyStreams(): number {
  return Math.min(STREAMS_MANY, scaled(10 * STREAMS_MANY, 2));
}

/** All carriers take turns, each round anew: what else the machine does meets them alike. Medians are reported. */
export async function compareCarriers(
  carriers: Readonly<Record<'ours' | Reference, Carrier>>,
  load: TcpLoad,
  { rounds, forMs }: { readonly rounds: number; readonly forMs: number },
): Promise<void> {
  const entries = Object.entries(carriers);
  const seen = new Map<string, Round[]>(entries.map(([name]) => [name, []]));
  for (const [, carrier] of entries) await warmUp(carrier, load, forMs);
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, carrier] of entries) seen.get(name)?.push(await measure(carrier, load, forMs));
  }
  const mediansOf = (name: 'ours' | Reference) => medians(seen.get(name) ?? []);
  const ours = mediansOf('ours');
  for (const reference of ['ssh', 'sshGcm', 'pipes', 'socat'] as const) {
    reportBeside(reference, ours, mediansOf(reference), rounds);
  }
}

async function warmUp({ port }: Carrier, load: TcpLoad, forMs: number): Promise<void> {
  for (const direction of DIRECTIONS) await load.transfer(direction, port, 1, forMs);
  await load.connectionsPerSecond(port, forMs / 5);
}

async function measure(carrier: Carrier, load: TcpLoad, forMs: number): Promise<Round> {
  const { port } = carrier;
  const round: Record<string, number> = {};
  const pids = carrier.pids();
  resetPeakMemory(pids.relay);
  const cpu = Object.fromEntries(PARTS.map((part) => [part, 0])) as Record<Part, number>;
  let gigabytes = 0;
  for (const streams of [1, manyStreams()]) {
    for (const direction of DIRECTIONS) {
      const before = PARTS.map((part) => cpuMs(pids[part]));
      const { bytes, seconds } = await load.transfer(direction, port, streams, forMs);
      round[`${direction}_${streams}_megabytes_per_second`] = bytes / 1e6 / seconds;
      if (streams > 1) continue;
      gigabytes += bytes / 1e9;
      for (const [index, part] of PARTS.entries()) cpu[part] += (cpuMs(pids[part]) - (before[index] ?? 0)) / 1000;
    }
  }
  for (const part of PARTS) round[`${part}_cpu_seconds_per_gigabyte`] = cpu[part] / gigabytes;
  round['cpu_seconds_per_gigabyte'] = PARTS.reduce((sum, part) => sum + cpu[part], 0) / gigabytes;
  round['relay_peak_rss_mib'] = peakMemory(pids.relay) / MIB;
  const milliseconds = await load.roundTrips(port, scaled(ROUND_TRIPS, 100));
  round['round_trip_p50_ms'] = percentile(milliseconds, 0.5);
  round['round_trip_p99_ms'] = percentile(milliseconds, 0.99);
  round['connections_per_second'] = await load.connectionsPerSecond(port, forMs / 2);
  return round;
}

function reportBeside(reference: Reference, ours: Round, theirs: Round, rounds: number): void {
  const { suffix, against } = REFERENCES[reference];
  for (const [name, value] of Object.entries(ours)) {
    // A socat serves each connection in a child that is gone afterwards, with its times.
    if (reference === 'socat' && /_cpu_|^cpu_|rss/.test(name)) continue;
    const aim = reference === 'ssh' ? aimOf(name) : undefined;
    report({
      bench: 'tunnel',
      figure: `${name}${suffix}`,
      size: rounds,
      value,
      reference: theirs[name] ?? NaN,
      against,
      ...(aim === undefined ? {} : { aim }),
    });
  }
}

function aimOf(name: string): Figure['aim'] {
  if (name.endsWith('megabytes_per_second')) return { ratioMin: THROUGHPUT_RATIO_MIN };
  if (name === 'round_trip_p50_ms') return { ratioMax: ROUND_TRIP_RATIO_MAX };
  return undefined;
}

function medians(rounds: readonly Round[]): Round {
  const names = Object.keys(rounds[0] ?? {});
  return Object.fromEntries(names.map((name) => [name, median(rounds.map((round) => round[name] ?? NaN))]));
}

function cpuMs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuMsOf(pid), 0);
}
