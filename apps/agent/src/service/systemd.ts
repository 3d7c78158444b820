import { join } from 'node:path';
import type { Argv, ServiceHost } from './service-host.ts';
import type { ServiceManager, ServiceState } from './service-manager.ts';
import { SERVICE_NAME, type ServiceScope } from './service-spec.ts';
import type { ServiceStep } from './service-steps.ts';
import { systemdUnit } from './systemd-unit.ts';

const UNIT = `${SERVICE_NAME}.service`;

/** A stop waits for the agent to drain, whose limit is in the unit: systemd holds it, and this is only beyond it. */
const STOP_TIMEOUT_MS = 3_600_000;
const SHOW_TIMEOUT_MS = 10_000;
const PROPERTIES = ['LoadState', 'ActiveState', 'SubState', 'UnitFileState', 'MainPID'] as const;

/** systemd, through systemctl: that of the machine, or that of a user. */
export function systemd(host: ServiceHost, scope: ServiceScope): ServiceManager {
  const systemctl = (...words: string[]): Argv => ['systemctl', ...(scope === 'user' ? ['--user'] : []), ...words];
  const run = (...words: string[]): ServiceStep => ({ is: 'run', argv: systemctl(...words) });
  const dir = scope === 'system' ? join(host.root, 'etc/systemd/system') : join(host.configHome, 'systemd/user');
  return {
    path: join(dir, UNIT),
    unit: UNIT,
    describe: systemdUnit,
    start: (isNew) =>
      isNew
        ? [
            run('daemon-reload'),
            run('enable', UNIT),
            { is: 'run', argv: systemctl('restart', UNIT), timeoutMs: STOP_TIMEOUT_MS },
          ]
        : [run('enable', UNIT), run('start', UNIT)],
    stop: () => [{ is: 'run', argv: systemctl('disable', '--now', UNIT), timeoutMs: STOP_TIMEOUT_MS }],
    forget: () => [run('daemon-reload'), { is: 'run', argv: systemctl('reset-failed', UNIT), mayFail: true }],
    state: () => stateOf(host, systemctl('show', UNIT, `--property=${PROPERTIES.join(',')}`)),
    notes: () => [
      `logs: journalctl ${scope === 'user' ? '--user ' : ''}-u ${UNIT}`,
      ...(scope === 'user' ? ['to run while you are signed out: loginctl enable-linger'] : []),
    ],
  };
}

async function stateOf(host: ServiceHost, show: Argv): Promise<ServiceState> {
  const { code, stdout, stderr } = await host.run(show, SHOW_TIMEOUT_MS);
  if (code !== 0)
    return { isActive: false, isEnabled: false, state: stderr.trim().split('\n', 1).join(''), pid: undefined };
  const of = Object.fromEntries(stdout.split('\n').map((line) => [line.split('=', 1)[0], line.replace(/^[^=]*=/, '')]));
  const pid = Number(of['MainPID'] ?? 0);
  return {
    isActive: of['ActiveState'] === 'active',
    isEnabled: of['UnitFileState'] === 'enabled',
    state: `${of['ActiveState'] ?? 'unknown'} (${of['SubState'] ?? 'unknown'})`,
    pid: pid > 0 ? pid : undefined,
  };
}
