import { scaled } from '@drawbridge/testkit';
import { percentile } from '../measure/percentile.ts';
import { report } from '../measure/report.ts';
import type { Rig } from './rig.ts';
import { TcpLoad } from './tcp-load.ts';

const KEYSTROKES = 500;
/** Typed by somebody fast, or by several. */
const PAUSE_MS = 10;
const ADDED_MS_MAX = 20;
/** One transfer; the next one follows at once. */
const BULK_MS = 5_000;

/** Who takes part. */
export interface KeystrokesOptions {
  readonly keyboard: TcpLoad;
  readonly load: TcpLoad;
  readonly echoPort: number;
  readonly sinkPort: number;
}

/**
 * How long a keystroke takes there and back: in a tunnel that has nothing else to do, then while another tunnel of the same
 * agent carries as much as it can both ways, then with the same load in the same tunnel.
 */
export async function measureKeystrokes(rig: Rig, options: KeystrokesOptions): Promise<void> {
  const { keyboard, load, echoPort, sinkPort } = options;
  await using typed = await rig.forward(echoPort, sinkPort);
  await using elsewhere = await rig.forward(sinkPort);
  await using down = await TcpLoad.start();
  const [typedPort, herePort] = typed.ports;
  if (typedPort === undefined || herePort === undefined) throw new Error('two ports were forwarded');
  const type = () => keyboard.roundTrips(typedPort, scaled(KEYSTROKES, 50), PAUSE_MS);
  const typeBeside = async (bulkPort: number) => {
    const typing = new AbortController();
    const carry = async (bulk: TcpLoad, direction: 'up' | 'down') => {
      while (!typing.signal.aborted) await bulk.transfer(direction, bulkPort, 1, scaled(BULK_MS, 500));
    };
    const carried = Promise.all([carry(load, 'up'), carry(down, 'down')]);
    const milliseconds = await type().finally(() => typing.abort());
    await carried;
    return milliseconds;
  };
  await type();
  const idle = await type();
  reportEcho('echo_beside_a_busy_tunnel', await typeBeside(elsewhere.port), idle);
  reportEcho('echo_in_a_busy_tunnel', await typeBeside(herePort), idle);
}

function reportEcho(name: string, milliseconds: readonly number[], idle: readonly number[]): void {
  const valueMax = percentile(idle, 0.5) + ADDED_MS_MAX;
  for (const [suffix, share] of [
    ['p50', 0.5],
    ['p99', 0.99],
  ] as const) {
    report({
      bench: 'tunnel',
      figure: `${name}_${suffix}_ms`,
      size: milliseconds.length,
      value: percentile(milliseconds, share),
      reference: percentile(idle, share),
      against: 'the same keystrokes through the same tunnel while nothing else is carried',
      ...(suffix === 'p99' ? { aim: { valueMax } } : {}),
    });
  }
}
