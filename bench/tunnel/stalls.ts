import { systemClock } from '@drawbridge/link';
import { memoryOf, scaled } from '@drawbridge/testkit';
import { median } from '../measure/median.ts';
import { peakMemory, resetPeakMemory } from '../measure/memory.ts';
import { report } from '../measure/report.ts';
import { type Part, PARTS } from './carrier.ts';
import { type Forward, Rig } from './rig.ts';
import type { TcpLoad } from './tcp-load.ts';

/** All of one tunnel. One of them is never read. */
const CHANNELS = 200;
const ROUNDS = 3;
const ROUND_MS = 3_000;
/** Downloads that nobody reads. */
const STALLED = 8;
/** Until all that can pile up has. */
const PILE_UP_MS = 4_000;
const MIB = 1024 * 1024;
const OTHERS_RATIO_MIN = 0.9;

/** Who takes part: `stuck` asks for what it never reads. */
export interface StallsOptions {
  readonly load: TcpLoad;
  readonly stuck: TcpLoad;
  readonly sinkPort: number;
}

/**
 * What it costs the others, and in memory, when somebody does not read: one channel of many, all channels of an operator, and an
 * operator whose process is stopped. Control plane and agent are new each time, so that memory tells of this alone.
 */
export async function measureStalls(options: StallsOptions): Promise<void> {
  await measureOneOfMany(options);
  await measureUnreadStreams(options);
  await measureStoppedOperator(options);
}

async function measureOneOfMany({ load, stuck, sinkPort }: StallsOptions): Promise<void> {
  await using rig = await Rig.start();
  await using forward = await rig.forward(sinkPort);
  const others = scaled(CHANNELS, 10) - 1;
  const course = async () => {
    for (const part of PARTS) resetPeakMemory(forward.pids()[part]);
    const { bytes, seconds } = await load.transfer('down', forward.port, others, scaled(ROUND_MS, 300));
    return { megabytesPerSecond: bytes / 1e6 / seconds, memory: memoryBy(forward, peakMemory) };
  };
  await course();
  const without: Awaited<ReturnType<typeof course>>[] = [];
  const beside: Awaited<ReturnType<typeof course>>[] = [];
  for (let round = 0; round < scaled(ROUNDS, 1); round += 1) {
    without.push(await course());
    await stuck.hold(forward.port, 1);
    beside.push(await course());
    await stuck.release();
  }
  const against = 'the same channels without the one that is never read';
  report({
    bench: 'tunnel',
    figure: 'beside_an_unread_channel_megabytes_per_second',
    size: others,
    value: median(beside.map(({ megabytesPerSecond }) => megabytesPerSecond)),
    reference: median(without.map(({ megabytesPerSecond }) => megabytesPerSecond)),
    against,
    aim: { ratioMin: OTHERS_RATIO_MIN },
  });
  for (const part of PARTS) {
    report({
      bench: 'tunnel',
      figure: `beside_an_unread_channel_${part}_peak_rss_mib`,
      size: others,
      value: median(beside.map(({ memory }) => memory[part])) / MIB,
      reference: median(without.map(({ memory }) => memory[part])) / MIB,
      against,
    });
  }
}

async function measureUnreadStreams({ load, stuck, sinkPort }: StallsOptions): Promise<void> {
  await using rig = await Rig.start();
  await using forward = await rig.forward(sinkPort);
  const idle = await idleMemory(forward, load);
  await stuck.hold(forward.port, STALLED);
  await systemClock.sleep(scaled(PILE_UP_MS, 500));
  reportMemory('unread_streams', memoryBy(forward, rssOf), idle);
  await stuck.release();
}

/** Its streams flow until it is stopped; the kernel still takes what fits into its buffers. They go on afterwards. */
async function measureStoppedOperator({ load, sinkPort }: StallsOptions): Promise<void> {
  await using rig = await Rig.start();
  await using forward = await rig.forward(sinkPort);
  const idle = await idleMemory(forward, load);
  const carried = load.transfer('down', forward.port, STALLED, 2 * scaled(PILE_UP_MS, 500));
  await systemClock.sleep(scaled(PILE_UP_MS, 500) / 2);
  forward.signal('SIGSTOP');
  for (const part of PARTS) resetPeakMemory(forward.pids()[part]);
  await systemClock.sleep(scaled(PILE_UP_MS, 500));
  const memory = memoryBy(forward, peakMemory);
  forward.signal('SIGCONT');
  await carried;
  reportMemory('stopped_operator', memory, idle);
}

/** After a little of everything, so that code and buffers of the first use are no cost of what comes. */
async function idleMemory(forward: Forward, load: TcpLoad): Promise<Record<Part, number>> {
  for (const direction of ['up', 'down'] as const) await load.transfer(direction, forward.port, 1, scaled(1_000, 200));
  await systemClock.sleep(scaled(PILE_UP_MS, 500));
  return memoryBy(forward, rssOf);
}

function reportMemory(name: string, memory: Record<Part, number>, idle: Record<Part, number>): void {
  for (const part of PARTS) {
    report({
      bench: 'tunnel',
      figure: `${name}_${part}_rss_mib`,
      size: STALLED,
      value: memory[part] / MIB,
      reference: idle[part] / MIB,
      against: 'the same processes at rest, after a transfer each way',
    });
  }
}

function rssOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + memoryOf(pid).rssBytes, 0);
}

function memoryBy(forward: Forward, memory: (pids: readonly number[]) => number): Record<Part, number> {
  const { operator, relay, agent } = forward.pids();
  return { operator: memory(operator), relay: memory(relay), agent: memory(agent) };
}
