import { ControlError } from '@drawbridge/protocol';
import { Shutdown, createLogger, dataDirOf, makeDataDir, printConfig } from '@drawbridge/runtime';
import { runAgent } from './agent.ts';
import { USAGE, parseAgentArguments } from './arguments.ts';
import { loadAgentConfig } from './config.ts';
import { enrolCommand } from './enrol-command.ts';

try {
  process.exitCode = await main(process.argv.slice(3));
} catch (error) {
  if (!(error instanceof ControlError)) throw error;
  process.stderr.write(`drawbridge agent: ${error.message}\n`);
  process.exitCode = error.code === 'invalid_request' ? 2 : 1;
}

async function main(args: readonly string[]): Promise<number> {
  if (args[0] === 'service') return await service(args.slice(1));
  const wanted = parseAgentArguments(args);
  if (wanted.action === 'help') {
    process.stdout.write(USAGE);
    return 0;
  }
  const dataDir = dataDirOf(wanted.data, process.env);
  if (wanted.action === 'enrol') {
    process.stdout.write(await enrolCommand(wanted, dataDir, new AbortController().signal));
    return 0;
  }
  const config = loadAgentConfig({ ...(wanted.config === undefined ? {} : { file: wanted.config }), env: process.env });
  if (wanted.action === 'check-config') return 0;
  if (wanted.action === 'print-config') {
    process.stdout.write(printConfig(config));
    return 0;
  }
  makeDataDir(dataDir);
  using log = createLogger(config.logging);
  using shutdown = new Shutdown({
    drainTimeoutMs: config.drain_timeout * 1000,
    onSignal: (signal) => log.info({ signal }, 'Initiating graceful drain...'),
  });
  await runAgent({ config, dataDir, log }, shutdown, (agentId, url) => {
    process.stdout.write(`connected ${agentId} ${url}\n`);
  });
  return 0;
}

/** Loaded when it is asked for: the daemon has no use for it. */
async function service(args: readonly string[]): Promise<number> {
  const [{ serviceCommand }, { systemHost }, { findInstallation }] = await Promise.all([
    import('./service/service-command.ts'),
    import('./service/service-host.ts'),
    import('./service/installation.ts'),
  ]);
  const { text, code } = await serviceCommand(args, systemHost(process.env), process.env, findInstallation);
  process.stdout.write(text);
  return code;
}
