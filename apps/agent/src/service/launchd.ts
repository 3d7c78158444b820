import { join } from 'node:path';
import { ControlError } from '@drawbridge/protocol';
import { launchdPlist } from './launchd-plist.ts';
import type { ServiceHost } from './service-host.ts';
import type { ServiceManager, ServiceState } from './service-manager.ts';
import { SERVICE_NAME, type ServiceScope, type ServiceSpec } from './service-spec.ts';
import type { ServiceStep } from './service-steps.ts';

const STOP_TIMEOUT_MS = 3_600_000;
const PRINT_TIMEOUT_MS = 10_000;

/** launchd, through launchctl: a daemon of the machine, or an agent of a user. After launchctl(1); not run on macOS yet. */
export function launchd(host: ServiceHost, scope: ServiceScope): ServiceManager {
  const domain = scope === 'system' ? 'system' : `gui/${host.uid}`;
  const target = `${domain}/${SERVICE_NAME}`;
  const dir = scope === 'system' ? join(host.root, 'Library/LaunchDaemons') : join(host.home, 'Library/LaunchAgents');
  const path = join(dir, `${SERVICE_NAME}.plist`);
  // A job that is not loaded cannot be unloaded: that is as good.
  const bootout: ServiceStep = {
    is: 'run',
    argv: ['launchctl', 'bootout', target],
    mayFail: true,
    timeoutMs: STOP_TIMEOUT_MS,
  };
  return {
    path,
    unit: SERVICE_NAME,
    describe,
    start: (isNew) => [
      ...(isNew ? [bootout] : []),
      { is: 'run', argv: ['launchctl', 'enable', target] },
      // A job that is loaded already cannot be loaded again: that is as good, unless it is a new one.
      { is: 'run', argv: ['launchctl', 'bootstrap', domain, path], mayFail: !isNew },
    ],
    stop: () => [bootout],
    forget: () => [],
    state: () => stateOf(host, target),
    notes: () => ['logs: set logging.file in agent.yaml, launchd keeps none'],
  };
}

function describe(spec: ServiceSpec): string {
  if (spec.envFile === undefined) return launchdPlist(spec);
  throw new ControlError('unsupported', '--env-file: launchd reads no file of variables');
}

async function stateOf(host: ServiceHost, target: string): Promise<ServiceState> {
  const { code, stdout } = await host.run(['launchctl', 'print', target], PRINT_TIMEOUT_MS);
  if (code !== 0) return { isActive: false, isEnabled: false, state: 'not loaded', pid: undefined };
  const state = /^\s*state = (.+)$/m.exec(stdout)?.[1] ?? 'unknown';
  const pid = /^\s*pid = (\d+)$/m.exec(stdout)?.[1];
  // What is loaded is loaded again at every start, because of RunAtLoad.
  return { isActive: state === 'running', isEnabled: true, state, pid: pid === undefined ? undefined : Number(pid) };
}
