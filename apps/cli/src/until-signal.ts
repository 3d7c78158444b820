import { Interrupted } from './exit-codes.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** A terminal and npm both pass on a single Ctrl-C. */
const SAME_SIGNAL_MS = 500;

/**
 * Runs `work` until Ctrl-C, or another signal that ends programs, aborts it: then it resolves once everything is put away. A
 * second signal leaves at once, with Interrupted. What `work` itself rejects with is passed on.
 */
export async function untilSignal(
  work: (signal: AbortSignal) => Promise<unknown>,
  nowMs = () => performance.now(),
): Promise<void> {
  const stop = new AbortController();
  const stopped = new Interrupted();
  const leave = Promise.withResolvers<never>();
  let firstMs: number | undefined;
  const onSignal = () => {
    if (firstMs === undefined) {
      firstMs = nowMs();
      stop.abort(stopped);
    } else if (nowMs() - firstMs > SAME_SIGNAL_MS) leave.reject(new Interrupted());
  };
  for (const name of SIGNALS) process.on(name, onSignal);
  try {
    await Promise.race([work(stop.signal), leave.promise]);
  } catch (error) {
    if (error !== stopped) throw error;
  } finally {
    for (const name of SIGNALS) process.off(name, onSignal);
  }
}
