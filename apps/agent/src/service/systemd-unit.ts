import { join } from 'node:path';
import { type ServiceSpec, agentArguments } from './service-spec.ts';
import { escapeSpecifiers, quoteCommand, quoteWord } from './systemd-quote.ts';

/** The first words of every file that the installer makes, and that it will replace or remove. */
export const MADE_BY_US = 'Made by "drawbridge agent service install"';

/** The unit of the agent. Whoever reads it on a machine finds the reasons in it. */
export function systemdUnit(spec: ServiceSpec): string {
  return [
    `# ${MADE_BY_US}, which replaces it when it runs again.`,
    '# Changes belong into a drop-in: systemctl edit drawbridge-agent.service',
    '',
    '[Unit]',
    'Description=Drawbridge agent',
    // A user's manager does not know the targets of the machine.
    ...(spec.scope === 'system' ? ['After=network.target'] : []),
    '# It is tried again for ever, however often it failed.',
    'StartLimitIntervalSec=0',
    '',
    ...serviceSection(spec),
    '',
    '[Install]',
    `WantedBy=${spec.scope === 'system' ? 'multi-user.target' : 'default.target'}`,
    '',
  ].join('\n');
}

function serviceSection(spec: ServiceSpec): string[] {
  return [
    '[Service]',
    '# A start has failed when the program cannot be executed; whether the agent is connected, the control plane knows.',
    'Type=exec',
    `ExecStart=${quoteCommand([spec.node, ...agentArguments(spec)])}`,
    ...(spec.serviceUser === undefined ? [] : [`User=${spec.serviceUser}`]),
    ...(spec.envFile === undefined ? [] : [`EnvironmentFile=${escapeSpecifiers(spec.envFile)}`]),
    '# The checkout may not be writable for this user, and nothing is written outside the data directory.',
    `Environment=${quoteWord(`NODE_COMPILE_CACHE=${join(spec.data, 'compile-cache')}`)}`,
    'SyslogIdentifier=drawbridge-agent',
    '# Waits 2 s, then longer up to a minute. systemd before 254 does not know the last two and waits 2 s each time.',
    'Restart=always',
    'RestartSec=2',
    'RestartSteps=6',
    'RestartMaxDelaySec=60',
    '# Tasks are children of the agent. It ends them itself when it drains; what outlives it, it looks after when it is back.',
    'KillMode=process',
    `TimeoutStopSec=${spec.stopSeconds}`,
    '# A task that is out of memory must not take the agent and the other tasks with it.',
    'OOMPolicy=continue',
    '',
    ...hardening(spec),
  ];
}

/**
 * Everything a task starts lives in the agent's sandbox: what is forbidden here is forbidden to every task. So each setting
 * takes away only what its user has no right to in any case, or what no task asks for.
 */
function hardening({ scope, serviceUser, allowSudo }: ServiceSpec): string[] {
  if (allowSudo || (scope === 'system' && serviceUser === undefined)) {
    return [
      '# Tasks administer this machine: they install packages, load modules, set the clock. No sandbox is laid around them,',
      '# the agent.yaml says what the agent carries out. For less, install with --service-user and without --allow-sudo.',
    ];
  }
  const both = [
    '# Tasks run inside this sandbox. It keeps them from becoming more than their user, and takes away no file of theirs:',
    '# no ProtectSystem, ProtectHome, PrivateTmp (they work there), no PrivateDevices, ProtectClock, DevicePolicy (a GPU,',
    '# /dev/kvm, /dev/fuse), no RestrictNamespaces (browsers and sandboxes make some), no SystemCallFilter or',
    '# MemoryDenyWriteExecute (compilers that run what they make, Node first), no UMask (what they write is read by others).',
    '# With any of these settings sudo does not work; --allow-sudo leaves them out.',
    'NoNewPrivileges=yes',
    'LockPersonality=yes',
    'RestrictRealtime=yes',
    'RestrictSUIDSGID=yes',
  ];
  // The rest needs rights that a user's own manager does not have.
  if (scope === 'user') return both;
  return [
    ...both,
    'CapabilityBoundingSet=',
    'ProtectControlGroups=yes',
    'ProtectKernelLogs=yes',
    'ProtectKernelModules=yes',
    'ProtectKernelTunables=yes',
  ];
}
