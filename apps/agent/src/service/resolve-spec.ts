import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parseEnv } from 'node:util';
import { ControlError } from '@drawbridge/protocol';
import { dataDirOf } from '@drawbridge/runtime';
import { type AgentConfig, loadAgentConfig } from '../config.ts';
import type { ServiceArguments } from './service-arguments.ts';
import type { ServiceHost } from './service-host.ts';
import type { ServiceScope, ServiceSpec } from './service-spec.ts';

/** Beyond draining and ending what is left: the last acknowledgements, the journal, the disk. */
const STOP_SLACK_SECONDS = 20;

/** The names of users that useradd takes; no other can stand in a unit. */
const USER_NAME = /^[a-z_][a-z0-9_-]{0,31}$/;
const ID_TIMEOUT_MS = 10_000;

/** The scope that was asked for, or that suits who asks. */
export function scopeOf({ scope }: ServiceArguments, { uid }: ServiceHost): ServiceScope {
  return scope ?? (uid === 0 ? 'system' : 'user');
}

/** A service to install, and the configuration it will run with: read as the service will read it, so it is checked too. */
export async function resolveSpec(
  wanted: ServiceArguments,
  program: string,
  host: ServiceHost,
  env: NodeJS.ProcessEnv,
): Promise<{ readonly spec: ServiceSpec; readonly config: AgentConfig }> {
  const scope = scopeOf(wanted, host);
  const { serviceUser } = wanted;
  if (serviceUser !== undefined) requireServiceUser(serviceUser, scope, wanted.data);
  const envFile = wanted.envFile === undefined ? undefined : resolve(wanted.envFile);
  const file = wanted.config === undefined ? undefined : resolve(wanted.config);
  // The variables of this shell are not there when the service starts.
  const config = loadAgentConfig({ file, env: envFile === undefined ? {} : await readEnvFile(envFile) });
  const spec = {
    scope,
    serviceUser,
    node: process.execPath,
    program,
    config: file,
    data: dataDirOf(wanted.data, env, host.home),
    envFile,
    allowSudo: wanted.allowSudo,
    stopSeconds: Math.ceil(config.drain_timeout + config.tasks.kill_grace) + STOP_SLACK_SECONDS,
  };
  return { spec, config };
}

/** Whether the data directory has to be made; one that is there must belong to the user the service runs as. */
export async function needsDataDir({ serviceUser, data }: ServiceSpec, host: ServiceHost): Promise<boolean> {
  if (serviceUser === undefined) return false;
  const { code, stdout } = await host.run(['id', '-u', serviceUser], ID_TIMEOUT_MS);
  if (code !== 0) {
    throw new ControlError('not_found', `no user ${serviceUser}: make one with useradd --system ${serviceUser}`);
  }
  const owner = await ownerOf(data);
  if (owner === undefined) return true;
  if (owner !== Number(stdout)) {
    throw new ControlError('conflict', `${data} does not belong to ${serviceUser}: chown -R ${serviceUser} ${data}`);
  }
  return false;
}

function requireServiceUser(name: string, scope: ServiceScope, data: string | undefined): void {
  const refuse = (reason: string) => new ControlError('invalid_request', `--service-user ${name}: ${reason}`);
  if (!USER_NAME.test(name)) throw refuse('is not the name of a user');
  if (scope === 'user') throw refuse('a service of a user runs as that user');
  if (data === undefined) throw refuse('needs --data, a directory that belongs to that user');
}

async function readEnvFile(path: string): Promise<NodeJS.Dict<string>> {
  try {
    return parseEnv(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new ControlError('invalid_request', `--env-file ${path}: cannot be read: ${String(cause)}`, { cause });
  }
}

async function ownerOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).uid;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
