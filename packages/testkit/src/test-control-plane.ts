import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ApiAnswer, type ApiRequest, apiRequest } from './api-request.ts';
import type { Pki } from './certificates.ts';
import { Daemon } from './daemon.ts';
import { drawbridge, type DrawbridgeOptions } from './drawbridge-command.ts';
import { TempDir } from './temp-dir.ts';
import { type Command, TestProcess } from './test-process.ts';

/** How to start a control plane. */
export interface TestControlPlaneOptions extends DrawbridgeOptions {
  /** Kept when it is given, removed at the end when it is not. */
  readonly dataDir?: string;
  /** Where it listens; loopback unless said otherwise. */
  readonly host?: string;
  /** More of its command line. */
  readonly args?: readonly string[];
  /** Serves TLS with this server certificate, and calls it with this CA. */
  readonly tls?: Pick<Pki, 'ca' | 'server'>;
}

const API_REQUEST_MAIN = fileURLToPath(new URL('./api-request-main.ts', import.meta.url));

/** A control plane as a user runs it, with an admin's API token. */
export class TestControlPlane extends Daemon {
  /** The admin's API token, from its first start. */
  readonly token = `dbt_${randomBytes(24).toString('hex')}`;
  readonly #options: TestControlPlaneOptions;
  #url: string | undefined;

  private constructor(options: TestControlPlaneOptions, dataDir: string | TempDir) {
    super(dataDir);
    this.#options = options;
  }

  /** Starts it on a free port and waits until it accepts connections. */
  static async start(options: TestControlPlaneOptions = {}): Promise<TestControlPlane> {
    const controlPlane = new TestControlPlane(options, options.dataDir ?? (await TempDir.make('drawbridge-server-')));
    try {
      await writeFile(controlPlane.#tokenFile, controlPlane.token, { mode: 0o600 });
      await controlPlane.launch();
      await controlPlane.waitUntilUp();
      return controlPlane;
    } catch (error) {
      await controlPlane[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** What it said on its ready line. The port stays the same over restarts. */
  get url(): string {
    if (this.#url === undefined) throw new Error('the control plane has not been ready yet');
    return this.#url;
  }

  /** The CA of its certificate, when it serves TLS. */
  get caFile(): string | undefined {
    return this.#options.tls?.ca.certFile;
  }

  /** Calls the API as the admin; `headers` may say otherwise. */
  async api(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<ApiAnswer> {
    const request: ApiRequest = {
      url: new URL(path, this.url).href,
      method,
      headers: { authorization: `Bearer ${this.token}`, ...headers },
      body,
      ...(this.caFile === undefined ? {} : { caFile: this.caFile }),
    };
    const { namespace } = this.#options;
    return namespace === undefined ? apiRequest(request) : requestFrom(namespace, request);
  }

  protected override command(): Command {
    const { host, args = [], tls } = this.#options;
    const port = this.#url === undefined ? '0' : new URL(this.#url).port;
    const words = ['server', '--data', this.dataDir, '--port', port];
    if (host !== undefined) words.push('--host', host);
    if (tls !== undefined) words.push('--tls-cert', tls.server.certFile, '--tls-key', tls.server.keyFile);
    const env = { DRAWBRIDGE_BOOTSTRAP_TOKEN_FILE: this.#tokenFile, ...this.#options.env };
    return drawbridge([...words, ...args], { ...this.#options, env });
  }

  protected override isUp(line: string): boolean {
    const url = /^ready (\S+)$/.exec(line)?.[1];
    if (url !== undefined) this.#url = url;
    return url !== undefined;
  }

  get #tokenFile(): string {
    return join(this.dataDir, 'bootstrap-token');
  }
}

async function requestFrom(namespace: string, request: ApiRequest): Promise<ApiAnswer> {
  const args = [API_REQUEST_MAIN, JSON.stringify(request)];
  await using caller = await TestProcess.start({ command: process.execPath, args, namespace });
  const { code } = await caller.exited();
  if (code !== 0) throw new Error(`${request.method} ${request.url} in ${namespace}: ${caller.stderr.text}`);
  return JSON.parse(caller.stdout.text);
}
