import type { OperatorTunnel, TunnelStatus } from '@drawbridge/client';
import type { Clock } from '@drawbridge/link';
import { untilSignal } from '../until-signal.ts';
import { ForwardReport } from './forward-report.ts';
import type { Totals } from './forward-report.ts';
import type { Forward } from './forward-spec.ts';
import { LocalPort } from './local-port.ts';
import { TunnelKeeper } from './tunnel-keeper.ts';

export interface RunForwardOptions {
  /** As people call it. */
  readonly agent: string;
  readonly forwards: readonly Forward[];
  readonly json: boolean;
  readonly clock: Clock;
  readonly open: (onStatus: (status: TunnelStatus) => void, signal: AbortSignal) => Promise<OperatorTunnel>;
}

const TICK_MS = 1_000;

/** Forwards until somebody ends it; then the ports are closed, and the lease. Rejects when there is no tunnel to be had for good. */
export async function runForward({ agent, forwards, json, clock, open }: RunForwardOptions): Promise<void> {
  const ports: LocalPort[] = [];
  const screen = process.stderr.isTTY ? process.stderr : undefined;
  const report = new ForwardReport({ agent, json, totals: () => totalsOf(ports, keeper.current?.rttMs), screen });
  const keeper = new TunnelKeeper({ open, clock, random: Math.random, onEvent: (event) => report.keeper(event) });
  let isListening = false;
  await untilSignal(async (signal) => {
    // Released in reverse order: nobody is accepted any more when the tunnel goes.
    await using parts = new AsyncDisposableStack();
    parts.use(keeper);
    for (const forward of forwards) ports.push(parts.use(await LocalPort.listen(forward, keeper, report)));
    await keeper.start(signal);
    for (const port of ports) report.listening(port);
    isListening = true;
    const over = new AbortController();
    const drawing = draw(clock, report, AbortSignal.any([signal, over.signal]));
    await Promise.race([keeper.run(signal), drawing]).finally(() => over.abort());
  });
  if (isListening) report.summary(totalsOf(ports, undefined));
}

/** Counters move without anybody saying so. Rejects with the signal's reason. */
async function draw(clock: Clock, report: ForwardReport, signal: AbortSignal): Promise<never> {
  for (;;) {
    await clock.sleep(TICK_MS, signal);
    report.tick();
  }
}

function totalsOf(ports: readonly LocalPort[], rttMs: number | undefined): Totals {
  const carried = ports.map((port) => port.carried);
  const sum = (of: (one: (typeof carried)[number]) => number) => carried.reduce((all, one) => all + of(one), 0);
  return {
    open: sum(({ open }) => open),
    bytesUp: sum(({ bytesUp }) => bytesUp),
    bytesDown: sum(({ bytesDown }) => bytesDown),
    rttMs,
  };
}
