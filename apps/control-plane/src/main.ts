import { once } from 'node:events';
import { ControlError } from '@drawbridge/protocol';
import { Shutdown, createLogger, dataDirOf, printConfig } from '@drawbridge/runtime';
import { USAGE, parseServerArguments } from './arguments.ts';
import { loadServerConfig } from './config.ts';
import { startControlPlane } from './control-plane.ts';
import { restoreCommand } from './restore-command.ts';

try {
  process.exitCode = await main(process.argv.slice(3));
} catch (error) {
  if (!(error instanceof ControlError)) throw error;
  process.stderr.write(`drawbridge server: ${error.message}\n`);
  process.exitCode = error.code === 'invalid_request' ? 2 : 1;
}

async function main(args: readonly string[]): Promise<number> {
  if (args[0] === 'restore') return restoreCommand(args.slice(1), process.env);
  const wanted = parseServerArguments(args);
  if (wanted.action === 'help') {
    process.stdout.write(USAGE);
    return 0;
  }
  const file = wanted.config === undefined ? {} : { file: wanted.config };
  const config = loadServerConfig({ ...file, env: process.env, overrides: wanted.overrides });
  if (wanted.action === 'check-config') return 0;
  if (wanted.action === 'print-config') {
    process.stdout.write(printConfig(config));
    return 0;
  }
  using log = createLogger(config.logging);
  using shutdown = new Shutdown({
    drainTimeoutMs: config.drain_timeout * 1000,
    onSignal: (signal) => log.info({ signal }, 'Initiating graceful drain...'),
  });
  shutdown.stop.addEventListener('abort', () => process.exit(1), { once: true });

  const dataDir = dataDirOf(wanted.data, process.env);
  const bootstrapFile = process.env['DRAWBRIDGE_BOOTSTRAP_TOKEN_FILE'];
  await using plane = await startControlPlane({ config, dataDir, log, bootstrapFile });
  log.info({ url: plane.url }, 'control plane ready');
  process.stdout.write(`ready ${plane.url}\n`);
  if (plane.firstAdminUrl !== undefined) process.stdout.write(`first admin ${plane.firstAdminUrl}\n`);

  const reason = await Promise.race([
    once(shutdown.drain, 'abort').then(() => 'drain' as const),
    plane.failed.then(() => 'store lost' as const),
  ]);
  if (reason === 'store lost') log.fatal('the store is gone: stopping');
  return reason === 'drain' ? 0 : 1;
}
