// A process that calls an HTTP server with autocannon, once it was told how. Started by `loadOverHttp`, ends with it.
import autocannon from 'autocannon';
import { percentile } from '../measure/percentile.ts';
import type { HttpCourse, HttpLoadAnswer, HttpLoadOptions } from './http-load.ts';

/** Calls for `seconds`. Rejects when anything was not answered with success: such a figure says nothing. */
async function call({ url, requests, connections, rate }: HttpLoadOptions, seconds: number): Promise<HttpCourse> {
  const milliseconds: number[] = [];
  let clients = 0;
  const running = autocannon({
    url,
    connections,
    duration: seconds,
    ...(rate === undefined ? {} : { overallRate: rate }),
    // Each connection begins elsewhere, so that they do not all ask for the same at the same time.
    setupClient: (client) => {
      const first = Math.floor((clients * requests.length) / connections) % requests.length;
      client.setRequests([...requests.slice(first), ...requests.slice(0, first)].map((request) => ({ ...request })));
      clients += 1;
    },
  });
  void running.on('response', (_client, _status, _bytes, ms: number) => milliseconds.push(ms));
  const { errors, timeouts, non2xx, duration } = await running;
  if (errors + timeouts + non2xx > 0) {
    throw new Error(`${errors} errors, ${timeouts} timeouts and ${non2xx} refusals of ${milliseconds.length} requests`);
  }
  return {
    requestsPerSecond: milliseconds.length / duration,
    p50Ms: percentile(milliseconds, 0.5),
    p99Ms: percentile(milliseconds, 0.99),
  };
}

function answer(value: HttpLoadAnswer): void {
  process.send?.(value);
}

async function obey(options: HttpLoadOptions): Promise<void> {
  await call(options, options.warmUpSeconds);
  answer({ course: await call(options, options.seconds) });
}

process.once('disconnect', () => process.exit());
process.once('message', (options: HttpLoadOptions) => {
  obey(options).catch((error: unknown) => answer({ error: String(error) }));
});
