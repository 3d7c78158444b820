// Runs a script on one machine: node examples/run-task.ts build-1 'uname -a'
// The control plane and an API token come from DRAWBRIDGE_URL and DRAWBRIDGE_TOKEN.
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError, DrawbridgeClient } from '@drawbridge/client';
import type { RetryOptions } from '@drawbridge/client';

const [agent = 'build-1', instructions = 'uname -a'] = process.argv.slice(2);
const client = new DrawbridgeClient({
  url: process.env['DRAWBRIDGE_URL'] ?? 'http://127.0.0.1:7400',
  token: process.env['DRAWBRIDGE_TOKEN'],
  fetch,
});

/** A control plane that restarts is waited for, two minutes at most. */
const retry: RetryOptions = {
  sleep: (delayMs, signal) => sleep(delayMs, undefined, { signal }),
  nowMs: () => performance.now(),
  patienceMs: 120_000,
};

try {
  const { id } = await client.createTask({ agent, provider: 'shell', instructions }, retry);
  for await (const bytes of client.followOutput(id, 0, retry)) process.stdout.write(bytes);
  const { state, exit_code: exitCode } = await client.waitForTask(id, retry);
  process.stderr.write(`task ${id} ${state}\n`);
  process.exitCode = exitCode ?? 1;
} catch (error) {
  if (!(error instanceof ApiError)) throw error;
  process.stderr.write(`${error.code}: ${error.message} (request ${error.requestId})\n`);
  process.exitCode = 1;
}
