import { ControlError } from '@drawbridge/protocol';
import { parseArguments } from '@drawbridge/runtime';

/** The options of `drawbridge agent service`, as the help shows them. */
export const SERVICE_OPTIONS = `Options of service:
  --system, --user    a service of the machine, the default of root, or of the user who installs it
  --service-user U    whom a service of the machine runs as; U owns the directory of --data (default: root)
  --allow-sudo        tasks may use sudo: leaves out the hardening that forbids it
  --config FILE       agent.yaml; is checked first
  --env-file FILE     variables that agent.yaml names, NAME=value a line (systemd only)
  --data DIR          where the agent keeps its state
  --dry-run           with install and uninstall: print the file and the commands, and do nothing
  --json              print one JSON document
`;

export const SERVICE_USAGE = `Usage: drawbridge agent service install [options]
       drawbridge agent service uninstall [--system | --user] [--dry-run] [--json]
       drawbridge agent service status [--system | --user] [--json]

Makes the agent a service of systemd, or of launchd, that starts with the machine and again whenever it ends. Installing
twice is fine: what has changed is replaced. "uninstall" stops and removes the service and leaves all data. "status" ends
with 0 when the service is active, with 1 when it is not, and with 4 when there is none.

${SERVICE_OPTIONS}
Examples:
  sudo drawbridge agent service install --config /etc/drawbridge/agent.yaml --service-user drawbridge-agent \\
    --data /var/lib/drawbridge-agent
  drawbridge agent service install --user
  drawbridge agent service install --dry-run
  drawbridge agent service status --json
  sudo drawbridge agent service uninstall
`;

const ACTIONS = ['install', 'uninstall', 'status'] as const;

/** What only `install` knows, as the names of its options. */
const OPTIONS_TO_INSTALL = ['service-user', 'allow-sudo', 'config', 'env-file', 'data'] as const;

/** The command line of `drawbridge agent service`. */
export interface ServiceArguments {
  readonly action: (typeof ACTIONS)[number] | 'help';
  /** Undefined: by who asks. */
  readonly scope: 'system' | 'user' | undefined;
  readonly serviceUser: string | undefined;
  readonly allowSudo: boolean;
  readonly config: string | undefined;
  readonly envFile: string | undefined;
  readonly data: string | undefined;
  readonly isDryRun: boolean;
  readonly asJson: boolean;
}

/** What comes after `agent service`. Throws ControlError `invalid_request` naming what it does not know. */
export function parseServiceArguments(args: readonly string[]): ServiceArguments {
  const { values, positionals } = parse(args);
  const [verb, extra] = positionals;
  const action = values.help === true ? 'help' : ACTIONS.find((name) => name === verb);
  if (action === undefined) throw new ControlError('invalid_request', `service: expected ${ACTIONS.join(', ')}`);
  if (extra !== undefined) throw new ControlError('invalid_request', `unknown argument ${extra}`);
  if (values.system === true && values.user === true) {
    throw new ControlError('invalid_request', '--system and --user exclude each other');
  }
  if (action !== 'install' && action !== 'help') {
    const stray = OPTIONS_TO_INSTALL.find((name) => values[name] !== undefined);
    if (stray !== undefined) throw new ControlError('invalid_request', `--${stray} is for install`);
  }
  if (action === 'status' && values['dry-run'] === true) {
    throw new ControlError('invalid_request', '--dry-run is for install and uninstall');
  }
  return {
    action,
    scope: values.system === true ? 'system' : values.user === true ? 'user' : undefined,
    serviceUser: values['service-user'],
    allowSudo: values['allow-sudo'] === true,
    config: values.config,
    envFile: values['env-file'],
    data: values.data,
    isDryRun: values['dry-run'] === true,
    asJson: values.json === true,
  };
}

function parse(args: readonly string[]) {
  return parseArguments({
    args,
    allowPositionals: true,
    options: {
      system: { type: 'boolean' },
      user: { type: 'boolean' },
      'service-user': { type: 'string' },
      'allow-sudo': { type: 'boolean' },
      config: { type: 'string' },
      'env-file': { type: 'string' },
      data: { type: 'string' },
      'dry-run': { type: 'boolean' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
}
