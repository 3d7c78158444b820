import { ControlError } from '@drawbridge/protocol';
import { parseArguments } from '@drawbridge/runtime';
import { SERVICE_OPTIONS } from './service/service-arguments.ts';

export const USAGE = `Usage: drawbridge agent [options]
       drawbridge agent enroll URL --token TOKEN [--name NAME] [--label k=v]… [--ca FILE] [--pin sha256/…]
       drawbridge agent service install|uninstall|status [options]

Runs the agent, which only dials out and listens on nothing. Prints "connected <agent_id> <url>" on stdout after each
connection; logs go to stderr. "enroll" exchanges a join token for an identity, once.
"service" makes it start with the machine: see "drawbridge agent service --help".

Options:
  --data DIR          where state is kept (default: DRAWBRIDGE_DATA, or ~/.local/share/drawbridge)
  --config FILE       agent.yaml
  --check-config      only check the configuration
  --print-config      print the configuration in force, secrets left out
  --help              this text

Options of enroll, besides --data:
  --token TOKEN       join token, or a file with @FILE, or - for standard input
  --name NAME         name of this agent (default: from the host's name)
  --label k=v         label; may be given again
  --ca FILE           certificate authority to trust, PEM; remembered
  --pin sha256/…      public key of the server's certificate; remembered
  --client-cert FILE  certificate for a server that demands one, PEM, this once; agent.yaml has server.client_cert
  --client-key FILE   its key
  --proxy URL         HTTP proxy to dial through, this once; agent.yaml has server.proxy

${SERVICE_OPTIONS}
Example:
  drawbridge agent enroll https://control.example.com --token dbj_… --name build-1
  drawbridge agent
  sudo drawbridge agent service install
`;

const OPTIONS_TO_ENROL = ['token', 'name', 'label', 'ca', 'pin', 'client-cert', 'client-key', 'proxy'] as const;
const OPTIONS_TO_RUN = ['config', 'check-config', 'print-config'] as const;

export interface AgentArguments {
  readonly action: 'run' | 'enrol' | 'check-config' | 'print-config' | 'help';
  readonly config: string | undefined;
  readonly data: string | undefined;
  readonly url: string | undefined;
  readonly token: string | undefined;
  readonly name: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly ca: string | undefined;
  readonly pin: string | undefined;
  readonly clientCert: string | undefined;
  readonly clientKey: string | undefined;
  readonly proxy: string | undefined;
}

/** The command line of `drawbridge agent`. Throws ControlError `invalid_request` naming what it does not know. */
export function parseAgentArguments(args: readonly string[]): AgentArguments {
  const { values, positionals } = parse(args);
  const [verb, url, ...rest] = positionals;
  if (rest.length > 0 || (verb !== undefined && verb !== 'enroll')) {
    throw new ControlError('invalid_request', `unknown argument ${rest[0] ?? verb ?? ''}`);
  }
  if (values.help !== true) refuseStray(verb === 'enroll' ? OPTIONS_TO_RUN : OPTIONS_TO_ENROL, verb, values);
  if (verb === 'enroll' && values.help !== true && (url === undefined || values.token === undefined)) {
    throw new ControlError('invalid_request', 'enroll takes a URL and --token');
  }
  if ((values['client-cert'] === undefined) !== (values['client-key'] === undefined)) {
    throw new ControlError('invalid_request', '--client-cert and --client-key need each other');
  }
  return {
    action: actionOf(verb, values),
    config: values.config,
    data: values.data,
    url,
    token: values.token,
    name: values.name,
    labels: Object.fromEntries((values.label ?? []).map(parseLabel)),
    ca: values.ca,
    pin: values.pin,
    clientCert: values['client-cert'],
    clientKey: values['client-key'],
    proxy: values.proxy,
  };
}

function parse(args: readonly string[]) {
  return parseArguments({
    args,
    allowPositionals: true,
    options: {
      config: { type: 'string' },
      data: { type: 'string' },
      token: { type: 'string' },
      name: { type: 'string' },
      label: { type: 'string', multiple: true },
      ca: { type: 'string' },
      pin: { type: 'string' },
      'client-cert': { type: 'string' },
      'client-key': { type: 'string' },
      proxy: { type: 'string' },
      'check-config': { type: 'boolean' },
      'print-config': { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
}

/** Taken in silence, an option would promise what nobody keeps: a proxy above all. */
function refuseStray(
  names: readonly string[],
  verb: string | undefined,
  values: Readonly<Record<string, unknown>>,
): void {
  const stray = names.find((name) => values[name] !== undefined);
  if (stray === undefined) return;
  const place = verb === 'enroll' ? 'is not for enroll' : 'is for enroll: agent.yaml says it to the agent';
  throw new ControlError('invalid_request', `--${stray} ${place}`);
}

function actionOf(
  verb: string | undefined,
  values: { help?: boolean; 'check-config'?: boolean; 'print-config'?: boolean },
): AgentArguments['action'] {
  if (values.help === true) return 'help';
  if (verb === 'enroll') return 'enrol';
  if (values['check-config'] === true) return 'check-config';
  return values['print-config'] === true ? 'print-config' : 'run';
}

function parseLabel(text: string): [string, string] {
  const index = text.indexOf('=');
  if (index < 1) throw new ControlError('invalid_request', `--label ${text}: expected key=value`);
  return [text.slice(0, index), text.slice(index + 1)];
}
