import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { Shutdown, dataDirOf, makeDataDir, writeFileAtomic } from '@drawbridge/runtime';
import type { DrawbridgeClient } from '@drawbridge/client';
import { clientFor } from '../access.ts';
import { ChildProgram } from '../child-program.ts';
import { Contexts, LOCAL_CONTEXT } from '../contexts.ts';
import { describeCommand } from '../describe-command.ts';
import { UsageError } from '../exit-codes.ts';
import { LOCAL_FILE, readLocal } from '../local.ts';
import type { LocalFile } from '../local.ts';
import { colour } from '../output.ts';
import { patience } from '../patience.ts';
import { interruptible, streamTask } from '../stream-task.ts';

const PORT_DEFAULT = '7400';
const DRAIN_MS = 60_000;
const LOCAL_AGENT = 'local';

interface UpOptions {
  readonly port?: string;
  readonly host: string;
  readonly data?: string;
  readonly once?: string;
}

export function defineUp(command: Command): void {
  describeCommand(command, {
    does: 'Starts a control plane and one agent on this machine that dials out to it. Ctrl-C drains both.',
    examples: ['up', "up --once 'uname -a'"],
    json: 'none',
    isRemote: false,
  })
    .option('--port <port>', `port to listen on (default ${PORT_DEFAULT}; a free one with --once)`)
    .option('--host <host>', 'address to listen on', '127.0.0.1')
    .option('--data <dir>', 'where state is kept')
    .option('--once <script>', 'run this script as a task, print its output, end with its exit code')
    .action(async (options: UpOptions) => {
      process.exitCode = await up(options);
    });
}

async function up(options: UpOptions): Promise<number> {
  const dataDir = resolve(dataDirOf(options.data, process.env));
  const running = await readLocal(dataDir);
  if (running !== undefined) return alreadyRunning(running, options);
  using shutdown = new Shutdown({
    drainTimeoutMs: DRAIN_MS,
    onSignal: () => process.stderr.write('\nstopping: what runs may finish (Ctrl-C again ends it now) …\n'),
  });

  await using parts = new AsyncDisposableStack();
  makeDataDir(dataDir);
  const local = await startServer(dataDir, options, parts);
  const client = clientFor({ url: local.url, token: await readToken(local), ca: undefined });
  const agent = await startAgent(dataDir, local.url, client, parts);
  if (options.once !== undefined) return await runOnce(client, options.once, shutdown);

  const link = await client.createSignInLink();
  process.stdout.write(welcome(local.url, link, dataDir, await contextWords()));
  const ended = await Promise.race([once(shutdown.drain, 'abort').then(() => undefined), agent.exited]);
  if (ended !== undefined) throw new Error(`the agent ended with ${ended}: see ${join(dataDir, 'agent.log')}`);
  return 0;
}

/** Starts the control plane and writes down, for other commands, how to reach it. */
async function startServer(dataDir: string, options: UpOptions, parts: AsyncDisposableStack): Promise<LocalFile> {
  const tokenFile = join(dataDir, 'admin-token');
  if (!existsSync(tokenFile)) await writeFileAtomic(tokenFile, `dbt_${randomBytes(32).toString('base64url')}\n`);
  const port = options.port ?? (options.once === undefined ? PORT_DEFAULT : '0');
  const server = new ChildProgram({
    args: ['server', '--data', join(dataDir, 'server'), '--host', options.host, '--port', port],
    env: { DRAWBRIDGE_BOOTSTRAP_TOKEN_FILE: tokenFile },
    logFile: join(dataDir, 'server.log'),
  });
  parts.defer(async () => void (await server.stop()));
  const url = await server.said('ready');
  const local: LocalFile = { url, token_file: tokenFile, pid: process.pid };
  await writeFileAtomic(join(dataDir, LOCAL_FILE), JSON.stringify(local));
  parts.defer(() => rm(join(dataDir, LOCAL_FILE), { force: true }));
  return local;
}

async function startAgent(
  dataDir: string,
  url: string,
  client: DrawbridgeClient,
  parts: AsyncDisposableStack,
): Promise<ChildProgram> {
  const agentDir = join(dataDir, 'agent');
  const logFile = join(dataDir, 'agent.log');
  if (!existsSync(join(agentDir, 'identity.json'))) {
    const { token } = await client.createJoinToken({ ttlSeconds: 60 });
    const enrol = new ChildProgram({
      args: ['agent', 'enroll', url, '--token', '-', '--name', LOCAL_AGENT, '--data', agentDir],
      logFile,
      input: token,
    });
    if ((await enrol.exited) !== 0) throw new Error(`the agent could not enrol: see ${logFile}`);
  }
  // The port may be another one than at enrolment.
  const agent = new ChildProgram({ args: ['agent', '--data', agentDir], env: { DRAWBRIDGE_SERVER_URL: url }, logFile });
  parts.defer(async () => void (await agent.stop()));
  await agent.said('connected');
  return agent;
}

async function runOnce(client: DrawbridgeClient, script: string, shutdown: Shutdown): Promise<number> {
  const task = await client.createTask({ agent: LOCAL_AGENT, provider: 'shell', instructions: script }, patience());
  const cancel = () => void client.cancelTask(task.id).catch(() => undefined);
  shutdown.drain.addEventListener('abort', cancel, { once: true });
  return interruptible(
    (signal) => streamTask(client, task.id, { json: false }, signal),
    () => undefined,
  );
}

/** One data directory, one `up`: a second one uses the first. */
async function alreadyRunning(local: LocalFile, options: UpOptions): Promise<number> {
  if (options.once === undefined) throw new UsageError(`already running at ${local.url} (process ${local.pid})`);
  const client = clientFor({ url: local.url, token: await readToken(local), ca: undefined });
  using shutdown = new Shutdown({ drainTimeoutMs: DRAIN_MS });
  return await runOnce(client, options.once, shutdown);
}

async function readToken(local: LocalFile): Promise<string> {
  return (await readFile(local.token_file, 'utf8')).trim();
}

/** What to add to a command that is for the control plane here, when another one is in use. */
async function contextWords(): Promise<string> {
  const { currentName } = await Contexts.open(dataDirOf(undefined, process.env));
  const asksElsewhere =
    (process.env['DRAWBRIDGE_URL'] ?? '') !== '' || (currentName ?? LOCAL_CONTEXT) !== LOCAL_CONTEXT;
  return asksElsewhere ? ` --context ${LOCAL_CONTEXT}` : '';
}

function welcome(url: string, link: string, dataDir: string, context: string): string {
  return [
    '',
    `  ${colour('bold', 'Drawbridge')} is up at ${url}`,
    '',
    `  Sign in (once, within the hour):  ${colour('blue', link)}`,
    '',
    "  Run something:                    bin/drawbridge run local --provider shell 'uname -a'" + context,
    '  Add a machine:                    bin/drawbridge join-token create' + context,
    `  State and logs:                   ${dataDir}`,
    '',
    '  Ctrl-C stops it.',
    '',
    '',
  ].join('\n');
}
