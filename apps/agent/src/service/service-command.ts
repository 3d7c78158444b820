import { access, readFile } from 'node:fs/promises';
import { ControlError } from '@drawbridge/protocol';
import { identityPath } from '../access.ts';
import type { AgentConfig } from '../config.ts';
import type { Installation } from './installation.ts';
import { needsDataDir, resolveSpec, scopeOf } from './resolve-spec.ts';
import { SERVICE_USAGE, type ServiceArguments, parseServiceArguments } from './service-arguments.ts';
import type { ServiceHost } from './service-host.ts';
import { type ServiceManager, serviceManagerOf } from './service-manager.ts';
import type { ServiceSpec } from './service-spec.ts';
import { type ServiceStep, carryOut } from './service-steps.ts';
import { type ServiceReport, renderReport } from './service-report.ts';
import { MADE_BY_US } from './systemd-unit.ts';

/** What to print, and the exit code. */
export interface ServiceAnswer {
  readonly text: string;
  readonly code: number;
}

const CODE_NOT_ACTIVE = 1;
const CODE_NOT_INSTALLED = 4;

const BUNDLING_TIMEOUT_MS = 300_000;

/** `drawbridge agent service …`: what comes after these words, on `host`. */
export async function serviceCommand(
  args: readonly string[],
  host: ServiceHost,
  env: NodeJS.ProcessEnv,
  findInstallation: () => Promise<Installation>,
): Promise<ServiceAnswer> {
  const wanted = parseServiceArguments(args);
  if (wanted.action === 'help') return { text: SERVICE_USAGE, code: 0 };
  const scope = scopeOf(wanted, host);
  const manager = serviceManagerOf(host, scope);
  if (wanted.action === 'status') return await status(manager, wanted);
  if (scope === 'system' && host.uid !== 0 && !wanted.isDryRun) {
    throw new ControlError('forbidden', 'a service of the machine needs root: use sudo, or --user');
  }
  const act = wanted.action === 'install' ? install : uninstall;
  const { steps, notes } = await act({ manager, wanted, host, env, findInstallation });
  if (!wanted.isDryRun) await carryOut(steps, host);
  return { text: renderReport(reportOf(manager, wanted, steps, notes), wanted.asJson), code: 0 };
}

interface Situation {
  readonly manager: ServiceManager;
  readonly wanted: ServiceArguments;
  readonly host: ServiceHost;
  readonly env: NodeJS.ProcessEnv;
  readonly findInstallation: () => Promise<Installation>;
}

interface Plan {
  readonly steps: readonly ServiceStep[];
  readonly notes: readonly string[];
}

async function install({ manager, wanted, host, env, findInstallation }: Situation): Promise<Plan> {
  const { program, bundling } = await findInstallation();
  const { spec, config } = await resolveSpec(wanted, program, host, env);
  const text = manager.describe(spec);
  const before = await ownFile(manager);
  // Shown for another machine, neither the user nor the directory need be here.
  const makesDataDir = !wanted.isDryRun && (await needsDataDir(spec, host));
  const isNew = before !== text;
  const steps: ServiceStep[] = [
    ...(bundling === undefined ? [] : [{ is: 'run', argv: bundling, timeoutMs: BUNDLING_TIMEOUT_MS } as const]),
    ...(makesDataDir ? [makeDataDir(spec)] : []),
    ...(isNew ? [{ is: 'write', path: manager.path, text } as const] : []),
    ...manager.start(isNew || bundling !== undefined),
  ];
  return { steps, notes: [...manager.notes(spec), ...(await identityNotes(spec, config))] };
}

async function uninstall({ manager }: Situation): Promise<Plan> {
  if ((await ownFile(manager)) === undefined) return { steps: [], notes: ['there is no such service'] };
  const steps: ServiceStep[] = [...manager.stop(), { is: 'remove', path: manager.path }, ...manager.forget()];
  return { steps, notes: ['its data is left as it is'] };
}

async function status(manager: ServiceManager, { asJson }: ServiceArguments): Promise<ServiceAnswer> {
  const isInstalled = (await readIfThere(manager.path)) !== undefined;
  const { isActive, isEnabled, state, pid } = await manager.state();
  const facts = {
    unit: manager.unit,
    path: manager.path,
    installed: isInstalled,
    enabled: isEnabled,
    active: isActive,
    state,
    pid: pid ?? null,
  };
  const text = asJson ? JSON.stringify(facts) : Object.entries(facts).map(lineOf).join('\n');
  return { text: `${text}\n`, code: isActive ? 0 : isInstalled ? CODE_NOT_ACTIVE : CODE_NOT_INSTALLED };
}

function reportOf(
  manager: ServiceManager,
  { action, isDryRun }: ServiceArguments,
  steps: readonly ServiceStep[],
  notes: readonly string[],
): ServiceReport {
  return { action, unit: manager.unit, path: manager.path, isDryRun, steps, notes };
}

/** The file as we left it; undefined without one. Somebody else's is neither replaced nor removed. */
async function ownFile({ path }: ServiceManager): Promise<string | undefined> {
  const text = await readIfThere(path);
  if (text === undefined || text.includes(MADE_BY_US)) return text;
  throw new ControlError('conflict', `${path} was not made by "service install": move it away first`);
}

function makeDataDir({ serviceUser = 'root', data }: ServiceSpec): ServiceStep {
  return { is: 'run', argv: ['install', '-d', '-m', '0700', '-o', serviceUser, data] };
}

/** Without an identity the service starts, fails and waits: say so while somebody is there to read it. */
async function identityNotes({ data, serviceUser }: ServiceSpec, { agent }: AgentConfig): Promise<string[]> {
  if (agent.auth_token !== undefined) return [];
  try {
    await access(identityPath(data));
    return [];
  } catch {
    const as = serviceUser === undefined ? '' : `sudo -u ${serviceUser} `;
    return [`there is no identity yet: ${as}drawbridge agent enroll URL --token TOKEN --data ${data}`];
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function lineOf([name, value]: [string, string | number | boolean | null]): string {
  const shown = typeof value === 'boolean' ? (value ? 'yes' : 'no') : (value ?? '-');
  return `${name.padEnd(10)} ${shown}`;
}
