import { execFileSync } from 'node:child_process';
import { chownSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { eventually } from './eventually.ts';
import { killAll } from './kill.ts';
import { listeningPort } from './listening-port.ts';
import { postgresProgram } from './postgres-program.ts';
import { childrenOf, isAlive } from './process-table.ts';
import { TempDir } from './temp-dir.ts';
import { TestProcess } from './test-process.ts';

const START_TIMEOUT_MS = 30_000;
/** Who runs it when we are root: PostgreSQL refuses to. */
const USER = 'postgres';

/** A PostgreSQL of the test's own: killed and started again as often as it likes, and gone at the end. */
export class TestPostgres implements AsyncDisposable {
  readonly #dir: TempDir;
  readonly #port: number;
  #process: TestProcess | undefined;

  private constructor(dir: TempDir, port: number) {
    this.#dir = dir;
    this.#port = port;
  }

  /** Makes an empty cluster on a free port and starts it. */
  static async start(): Promise<TestPostgres> {
    const postgres = new TestPostgres(await TempDir.make('drawbridge-postgres-'), await freePort());
    try {
      postgres.#initialise();
      await postgres.launch();
      return postgres;
    } catch (error) {
      await postgres[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Anybody on this machine may come in, as its superuser. */
  get url(): string {
    return `postgres://${USER}@127.0.0.1:${this.#port}/postgres`;
  }

  /** Starts it, with what is there since it was killed, and waits until it takes connections. */
  async launch(): Promise<void> {
    const args = ['-D', this.#dir.join('data'), '-k', this.#dir.path, '-h', '127.0.0.1', '-p', String(this.#port)];
    const [command = '', ...words] = asUser(program('postgres'), args);
    this.#process = await TestProcess.start({ command, args: words, cwd: this.#dir.path, env: { LC_ALL: 'C' } });
    const { stderr } = this.#process;
    const isReady = () => stderr.lines.find((line) => line.includes('ready to accept connections'));
    await this.#process.waitFor(isReady, { what: 'PostgreSQL to take connections', timeoutMs: START_TIMEOUT_MS });
  }

  /** Kills the postmaster, as a crash would, and waits until its children have noticed. */
  async kill9(): Promise<void> {
    if (this.#process === undefined) return;
    const children = childrenOf(this.#process.pid);
    await this.#process.kill9();
    await eventually(() => children.every((pid) => !isAlive(pid)), { what: 'the backends to end' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process !== undefined) {
      const children = childrenOf(this.#process.pid);
      await this.#process[Symbol.asyncDispose]();
      await killAll(children);
    }
    await this.#dir[Symbol.asyncDispose]();
  }

  #initialise(): void {
    if (process.getuid?.() === 0) chownSync(this.#dir.path, idOf('-u'), idOf('-g'));
    const options = ['--auth=trust', `--username=${USER}`, '--encoding=UTF8', '--locale=C', '--no-sync'];
    const [command = '', ...args] = asUser(program('initdb'), ['-D', this.#dir.join('data'), ...options]);
    execFileSync(command, args, { cwd: this.#dir.path, stdio: 'pipe', env: { LC_ALL: 'C' } });
  }
}

function asUser(command: string, args: readonly string[]): string[] {
  if (process.getuid?.() !== 0) return [command, ...args];
  return ['setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--init-groups', '--', command, ...args];
}

function program(name: 'initdb' | 'postgres'): string {
  const path = postgresProgram(name);
  if (path === undefined) throw new Error(`${name} is not installed`);
  return path;
}

function idOf(which: '-u' | '-g'): number {
  return Number(execFileSync('id', [which, USER], { encoding: 'utf8' }));
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const port = listeningPort(server);
  server.close();
  await once(server, 'close');
  return port;
}
