// A load process: a crowd of simulated clients that does what its parent says. Started by `LoadProcess`, ends with it.
import { Crowd } from './crowd.ts';
import type { Answer, CrowdOptions, Order } from './orders.ts';

const options: CrowdOptions = JSON.parse(process.argv[2] ?? '');

function answer(value: Answer): void {
  process.send?.(value);
}

function failed(error: unknown): void {
  answer({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
}

async function obey(crowd: Crowd, order: Order): Promise<void> {
  if (order.do === 'connect') await crowd.connect(order.count);
  if (order.do === 'cut') crowd.cut();
  answer({ connected: crowd.connected });
}

process.once('disconnect', () => process.exit());
try {
  const crowd = await Crowd.make(options);
  process.on('message', (order: Order) => void obey(crowd, order).catch(failed));
  answer({ connected: 0 });
} catch (error) {
  failed(error);
}
