// The CONNECT proxy as a process of its own, for a network namespace: [--host H] [--user U --password P].
// Prints `ready <url>`, then `tunnel <host:port>` for each tunnel, and ends with SIGTERM.
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { ConnectProxy } from './connect-proxy.ts';

const { values } = parseArgs({
  options: { host: { type: 'string' }, user: { type: 'string' }, password: { type: 'string' } },
});
const { host = '127.0.0.1', user, password = '' } = values;

await using proxy = await ConnectProxy.start({
  host,
  ...(user === undefined ? {} : { credentials: { user, password } }),
  onTunnel: (target) => process.stdout.write(`tunnel ${target}\n`),
});
process.stdout.write(`ready ${proxy.url}\n`);
await once(process, 'SIGTERM');
