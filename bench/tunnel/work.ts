import type { LoadOrder } from './tcp-load.ts';
import type { Said } from './worker.ts';

/**
 * The other side of `Worker`: says `ready`, then answers each order with what `obey` makes of it. The process exits with its
 * parent.
 */
export function work(ready: unknown, obey: (order: LoadOrder) => Promise<unknown>): void {
  process.once('disconnect', () => process.exit());
  process.on('message', (order: LoadOrder) => {
    obey(order).then((value) => say({ value }), failed);
  });
  say({ value: ready });
}

function say<T>(message: Said<T>): void {
  process.send?.(message);
}

function failed(error: unknown): void {
  say({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
}
