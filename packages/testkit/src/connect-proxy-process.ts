import { fileURLToPath } from 'node:url';
import type { ProxyCredentials } from './connect-proxy.ts';
import { TestProcess } from './test-process.ts';

/** Where a proxy process lives, and for whom. */
export interface ConnectProxyProcessOptions {
  readonly host?: string;
  readonly credentials?: ProxyCredentials;
  /** The system's name of a network namespace to run in. */
  readonly namespace?: string;
}

/** A CONNECT proxy in a process of its own. */
export interface ConnectProxyProcess extends AsyncDisposable {
  /** For HTTPS_PROXY and `server.proxy`, credentials included. */
  readonly url: string;
  /** What was asked for, as `host:port`, in order. */
  readonly targets: readonly string[];
}

const MAIN = fileURLToPath(new URL('./connect-proxy-main.ts', import.meta.url));
const START_TIMEOUT_MS = 30_000;

/** Starts a CONNECT proxy where this process cannot listen: in a network namespace. */
export async function startConnectProxyProcess(options: ConnectProxyProcessOptions = {}): Promise<ConnectProxyProcess> {
  const { host = '127.0.0.1', credentials, namespace } = options;
  const args = [MAIN, '--host', host];
  if (credentials !== undefined) args.push('--user', credentials.user, '--password', credentials.password);
  const child = await TestProcess.start({ command: process.execPath, args, namespace });
  const said = (word: string) =>
    child.stdout.lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1));
  const findUrl = () => said('ready')[0];
  const url = await child.waitFor(findUrl, { what: 'the ready line', timeoutMs: START_TIMEOUT_MS });
  return {
    url,
    get targets() {
      return said('tunnel');
    },
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}
