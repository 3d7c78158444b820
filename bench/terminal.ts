import { TempDir, TestAgent, TestControlPlane, makePki, scaled } from '@drawbridge/testkit';
import { systemClock } from '@drawbridge/link';
import { median } from './measure/median.ts';
import { percentile } from './measure/percentile.ts';
import { report } from './measure/report.ts';
import { bareWay } from './terminal/bare-way.ts';
import { ourWay } from './terminal/our-way.ts';
import { sshWay } from './terminal/ssh-way.ts';
import { untilPrinted } from './terminal/terminal-way.ts';
import type { TerminalWay } from './terminal/terminal-way.ts';
import { SshServer } from './tunnel/ssh-carrier.ts';

const ROUNDS = 5;
const LINES = 4_000_000;
const KEYS = 1_000;
const KEYS_WARM = 50;

/** What is compared with: the name that figures end with, and what it is. */
interface Reference {
  readonly way: TerminalWay;
  readonly suffix: string;
  readonly against: string;
}

/** A session seen by the SDK, over TLS: beside OpenSSH with a terminal, and beside node-pty and `ws` with nothing around them. */
export async function terminal(): Promise<void> {
  await using dir = await TempDir.make('drawbridge-bench-terminal-');
  await using controlPlane = await TestControlPlane.start({ tls: await makePki(dir.path) });
  await using agent = await TestAgent.start({ controlPlane });
  await using server = await SshServer.start();
  await using bare = await bareWay();
  const ours = ourWay(controlPlane, agent);
  const references: Reference[] = [
    { way: sshWay(server), suffix: '', against: 'ssh -tt, default cipher, straight to the machine' },
    { way: bare, suffix: '_beside_bare_pty', against: 'node-pty and ws in one process, no TLS, no replay' },
  ];
  await compareSpeed(ours, references);
  await compareEcho(ours, references);
}

/** In turns, so that a busy moment of the machine meets all of them. */
async function compareSpeed(ours: TerminalWay, references: readonly Reference[]): Promise<void> {
  const ways = [ours, ...references.map(({ way }) => way)];
  const speeds = ways.map((): number[] => []);
  for (let round = 0; round < scaled(ROUNDS); round += 1)
    for (const [at, way] of ways.entries()) speeds[at]?.push(await megabytesPerSecond(way));
  for (const [at, { suffix, against }] of references.entries())
    report({
      bench: 'terminal',
      figure: `output_megabytes_per_second${suffix}`,
      size: 1,
      value: median(speeds[0] ?? []),
      reference: median(speeds[at + 1] ?? []),
      against,
      ...(suffix === '' && { aim: { ratioMin: 1 } }),
    });
}

async function compareEcho(ours: TerminalWay, references: readonly Reference[]): Promise<void> {
  const value = await echoMs(ours);
  for (const { way, suffix, against } of references) {
    const reference = await echoMs(way);
    for (const [name, share] of [
      ['p50', 0.5],
      ['p99', 0.99],
    ] as const)
      report({
        bench: 'terminal',
        figure: `echo_${name}_ms${suffix}`,
        size: KEYS,
        value: percentile(value, share),
        reference: percentile(reference, share),
        against,
      });
  }
}

/** From the word to go until the last byte of many numbered lines. */
async function megabytesPerSecond(way: TerminalWay): Promise<number> {
  const lines = scaled(LINES, 10_000);
  await using open = await way.open(`stty -echo -onlcr; echo ready; read go; seq 1 ${lines}`);
  await untilPrinted(open, 'ready');
  const startedMs = systemClock.monotonic();
  await open.write(Buffer.from('go\n'));
  let bytes = 0;
  for (let item = await open.output.next(); item.done !== true; item = await open.output.next())
    bytes += item.value.byteLength;
  const seconds = (systemClock.monotonic() - startedMs) / 1000;
  if (bytes < bytesOf(lines)) throw new Error(`${bytes} bytes of ${bytesOf(lines)}`);
  return bytes / 1e6 / seconds;
}

/** How long one key takes to come back, one after the other. */
async function echoMs(way: TerminalWay): Promise<number[]> {
  await using open = await way.open('stty raw -echo; echo ready; exec cat');
  await untilPrinted(open, 'ready');
  const samples: number[] = [];
  for (let key = 0; key < KEYS_WARM + scaled(KEYS, 50); key += 1) {
    const startedMs = systemClock.monotonic();
    await open.write(Buffer.of(0x61 + (key % 26)));
    // What is left of the line before comes first.
    for (let seen = false; !seen;) {
      const { done, value } = await open.output.next();
      if (done === true) throw new Error('the terminal ended');
      seen = value.includes(0x61 + (key % 26));
    }
    if (key >= KEYS_WARM) samples.push(systemClock.monotonic() - startedMs);
  }
  return samples;
}

/** What `seq 1 lines` prints. */
function bytesOf(lines: number): number {
  let bytes = 0;
  for (let from = 1, digits = 1; from <= lines; from *= 10, digits += 1)
    bytes += (Math.min(lines, from * 10 - 1) - from + 1) * (digits + 1);
  return bytes;
}
