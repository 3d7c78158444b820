import { rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { systemClock } from '@drawbridge/link';
import { Shutdown, createLogger, makeDataDir } from '@drawbridge/runtime';
import { PipePool } from '../tasks/pipe-pool.ts';
import { systemProcessTable } from '../tasks/system-process-table.ts';
import { hostSocketOf, sessionsDirOf } from './host-socket.ts';
import { SessionHost } from './session-host.ts';
import { SessionTable } from './session-table.ts';

// The session host of one agent: `host-main.ts DATA_DIR`. It stays when the agent goes, and ends when it has had no session for a
// minute. What it says goes to its log file.

const [, , dataDir = ''] = process.argv;
const dir = sessionsDirOf(dataDir);
makeDataDir(dir);
const path = hostSocketOf(dataDir);
// A terminal that goes must not take its sessions with it.
process.on('SIGHUP', () => undefined);

// An agent that starts a host twice gets one: whoever answers stays.
if (await isAnswered(path)) process.exit(0);
await rm(path, { force: true });

using log = createLogger({ level: 'info' });
using shutdown = new Shutdown({
  drainTimeoutMs: 10_000,
  onSignal: (signal) => log.info({ signal }, 'ending all sessions'),
});
using pipes = new PipePool(dir);
const env = Object.fromEntries(
  Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
);
const sessions = new SessionTable({ clock: systemClock, pipes, table: systemProcessTable(), env });
{
  await using host = await SessionHost.listen(path, { sessions, clock: systemClock, log });
  log.info({ pid: process.pid }, 'session host ready');
  await host.run(shutdown.drain);
}

function isAnswered(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(socketPath);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}
