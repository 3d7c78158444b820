import { ChaosProxy, scaled } from '@drawbridge/testkit';
import { median } from './measure/median.ts';
import { report } from './measure/report.ts';
import { Rig } from './tunnel/rig.ts';
import { startSink, TcpLoad, type Transfer } from './tunnel/tcp-load.ts';

const DELAY_MS = 50;
/** 200 Mbit/s. */
const BYTES_PER_SECOND = 25e6;
const TRANSFER_MS = 15_000;
const ROUNDS = 3;
const RATIO_MIN = 0.8;

/** What is measured, by its name in a figure. */
const FIGURES = {
  '': ({ bytes, seconds }: Transfer) => bytes / seconds,
  /** Without the time in which windows grow. */
  _second_half: ({ lateBytesPerSecond }: Transfer) => lateBytesPerSecond,
} as const;

/**
 * One TCP stream through a tunnel whose legs are both long and fat: 50 ms each way and 200 Mbit/s. Beside a plain TCP stream over
 * two such links, and beside what one such link carries at best.
 */
export async function wan(): Promise<void> {
  await using ownership = new AsyncDisposableStack();
  const linkTo = async (to: string | { readonly host: string; readonly port: number }) => {
    const proxy = ownership.use(await ChaosProxy.start({ to }));
    proxy.delay(DELAY_MS);
    proxy.throttle(BYTES_PER_SECOND);
    return proxy;
  };
  const sink = ownership.use(await startSink());
  const load = ownership.use(await TcpLoad.start());
  const near = await linkTo({ host: '127.0.0.1', port: (await linkTo({ host: '127.0.0.1', port: sink.ready })).port });
  const rig = ownership.use(await Rig.start({ viaOf: async (url) => (await linkTo(url)).url }));
  const ours = ownership.use(await rig.forward(sink.ready));

  const rounds = scaled(ROUNDS, 1);
  const forMs = scaled(TRANSFER_MS, 500);
  for (const direction of ['up', 'down'] as const) {
    const transfers: Transfer[] = [];
    const plain: Transfer[] = [];
    for (let round = 0; round < rounds; round += 1) {
      plain.push(await load.transfer(direction, near.port, 1, forMs));
      transfers.push(await load.transfer(direction, ours.port, 1, forMs));
    }
    for (const [suffix, rateOf] of Object.entries(FIGURES)) {
      const beside = (end: string, reference: number, against: string, aim?: { readonly ratioMin: number }) =>
        report({
          bench: 'wan',
          figure: `${direction}${suffix}_megabytes_per_second${end}`,
          size: rounds,
          value: median(transfers.map(rateOf)) / 1e6,
          reference: reference / 1e6,
          against,
          ...(aim === undefined ? {} : { aim }),
        });
      beside('', median(plain.map(rateOf)), 'a plain TCP stream over two such links, in turns');
      beside('_beside_the_link', BYTES_PER_SECOND, 'all that one such link carries', { ratioMin: RATIO_MIN });
    }
  }
}
