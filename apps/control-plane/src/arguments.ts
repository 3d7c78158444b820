import { ControlError } from '@drawbridge/protocol';
import { parseArguments } from '@drawbridge/runtime';

export const USAGE = `Usage: drawbridge server [options]
       drawbridge server backup FILE
       drawbridge server restore FILE

Runs the control plane. Prints "ready <url>" on stdout when it accepts connections; logs go to stderr.
"backup" asks a running control plane for all it holds, "restore" puts that back: each has its own --help.

Options:
  --config FILE       drawbridge.yaml
  --data DIR          where state is kept (default: DRAWBRIDGE_DATA, or ~/.local/share/drawbridge)
  --host HOST         address to listen on (default 127.0.0.1)
  --port PORT         port to listen on (default 7400; 0 takes a free one)
  --tls-cert FILE     certificate, PEM; with --tls-key
  --tls-key FILE      private key, PEM
  --check-config      only check the configuration
  --print-config      print the configuration in force, secrets left out
  --help              this text

Example:
  drawbridge server --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem
`;

export interface ServerArguments {
  readonly config: string | undefined;
  readonly data: string | undefined;
  readonly action: 'run' | 'check-config' | 'print-config' | 'help';
  /** What the flags say, over the file and the environment. */
  readonly overrides: Record<string, unknown>;
}

/** The command line of `drawbridge server`. Throws ControlError `invalid_request` naming what it does not know. */
export function parseServerArguments(args: readonly string[]): ServerArguments {
  const { values } = parse(args);
  const port = values.port === undefined ? undefined : Number(values.port);
  if (port !== undefined && !(Number.isInteger(port) && port >= 0 && port <= 65_535)) {
    throw new ControlError('invalid_request', `--port ${values.port}: expected 0 to 65535`);
  }
  const tls = tlsOf(values['tls-cert'], values['tls-key']);
  const listen = {
    ...(values.host === undefined ? {} : { host: values.host }),
    ...(port === undefined ? {} : { port }),
    ...(tls === undefined ? {} : { tls }),
  };
  return {
    config: values.config,
    data: values.data,
    action: actionOf(values),
    overrides: Object.keys(listen).length === 0 ? {} : { listen },
  };
}

function parse(args: readonly string[]) {
  return parseArguments({
    args,
    options: {
      config: { type: 'string' },
      data: { type: 'string' },
      host: { type: 'string' },
      port: { type: 'string' },
      'tls-cert': { type: 'string' },
      'tls-key': { type: 'string' },
      'check-config': { type: 'boolean' },
      'print-config': { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
}

function actionOf(values: {
  help?: boolean;
  'check-config'?: boolean;
  'print-config'?: boolean;
}): ServerArguments['action'] {
  if (values.help === true) return 'help';
  if (values['check-config'] === true) return 'check-config';
  return values['print-config'] === true ? 'print-config' : 'run';
}

function tlsOf(cert: string | undefined, key: string | undefined) {
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined || key === undefined)
    throw new ControlError('invalid_request', '--tls-cert and --tls-key go together');
  return { cert, key };
}
