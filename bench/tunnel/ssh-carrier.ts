import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { promisify } from 'node:util';
import { childrenOf, findProgram, TempDir, TestProcess } from '@drawbridge/testkit';
import type { Carrier } from './carrier.ts';
import { freePort } from './free-port.ts';
import { untilReached } from './until-reached.ts';

/** Where sshd wants to lock itself up before somebody has signed in. */
const PRIVILEGE_SEPARATION_DIR = '/run/sshd';

const run = promisify(execFile);

/** An sshd of our own on the loopback, and who may use it. */
export class SshServer implements AsyncDisposable {
  readonly #dir: TempDir;
  readonly #port: number;
  readonly #process: TestProcess;

  private constructor(dir: TempDir, port: number, process: TestProcess) {
    this.#dir = dir;
    this.#port = port;
    this.#process = process;
  }

  static async start(): Promise<SshServer> {
    await using ownership = new AsyncDisposableStack();
    const dir = ownership.use(await TempDir.make('drawbridge-bench-ssh-'));
    const port = await freePort();
    await Promise.all(['host', 'user'].map((name) => makeKey(dir.join(name))));
    await writeFile(dir.join('authorized_keys'), await readFile(dir.join('user.pub')));
    await writeFile(dir.join('known_hosts'), `[127.0.0.1]:${port} ${await readFile(dir.join('host.pub'), 'utf8')}`);
    await writeFile(dir.join('sshd_config'), sshdConfig(dir, port));
    if (process.getuid?.() === 0) mkdirSync(PRIVILEGE_SEPARATION_DIR, { recursive: true, mode: 0o755 });
    const args = ['-D', '-e', '-f', dir.join('sshd_config')];
    const sshd = ownership.use(await TestProcess.start({ command: program('sshd'), args, env: process.env }));
    await untilReached(port);
    ownership.move();
    return new SshServer(dir, port, sshd);
  }

  /**
   * `ssh -L` to a port that another `ssh -R` has opened at the server: as many encrypted hops as a tunnel has. Without a
   * cipher it is OpenSSH's own choice.
   */
  async forward(sinkPort: number, cipher?: string): Promise<Carrier> {
    await using ownership = new AsyncDisposableStack();
    const [farPort, nearPort] = [await freePort(), await freePort()];
    // Both ends have a child of the server each: those that were not there before are this chain's.
    const before = new Set(childrenOf(this.#process.pid));
    const far = ownership.use(await this.#client(cipher, '-R', `127.0.0.1:${farPort}:127.0.0.1:${sinkPort}`));
    await untilReached(farPort);
    const near = ownership.use(await this.#client(cipher, '-L', `127.0.0.1:${nearPort}:127.0.0.1:${farPort}`));
    await untilReached(nearPort);
    const relay = childrenOf(this.#process.pid).filter((pid) => !before.has(pid));
    const owned = ownership.move();
    return {
      port: nearPort,
      pids: () => ({ operator: [near.pid], relay, agent: [far.pid] }),
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
    await this.#dir[Symbol.asyncDispose]();
  }

  /** A client with a terminal at the server, where a line of shell runs. */
  terminal(command: string): { readonly program: string; readonly args: readonly string[] } {
    const words = this.#words();
    return { program: program('ssh'), args: ['-tt', ...words, command] };
  }

  #client(cipher: string | undefined, ...forwarding: string[]): Promise<TestProcess> {
    const args = ['-N', ...forwarding, ...this.#words(cipher)];
    return TestProcess.start({ command: program('ssh'), args, env: process.env });
  }

  /** Whom to reach, and how. */
  #words(cipher?: string): string[] {
    const options = {
      BatchMode: 'yes',
      ExitOnForwardFailure: 'yes',
      IdentitiesOnly: 'yes',
      IdentityFile: this.#dir.join('user'),
      StrictHostKeyChecking: 'yes',
      UserKnownHostsFile: this.#dir.join('known_hosts'),
      ...(cipher === undefined ? {} : { Ciphers: cipher }),
    };
    const words = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
    return ['-F', 'none', '-p', String(this.#port), ...words, `${userInfo().username}@127.0.0.1`];
  }
}

function sshdConfig(dir: TempDir, port: number): string {
  const lines = {
    ListenAddress: `127.0.0.1:${port}`,
    HostKey: dir.join('host'),
    AuthorizedKeysFile: dir.join('authorized_keys'),
    // The directory is below one that everybody may write to.
    StrictModes: 'no',
    PidFile: 'none',
    UsePAM: 'no',
    PasswordAuthentication: 'no',
    KbdInteractiveAuthentication: 'no',
    PermitRootLogin: 'prohibit-password',
    AllowTcpForwarding: 'yes',
    LogLevel: 'ERROR',
  };
  return Object.entries(lines)
    .map(([name, value]) => `${name} ${value}\n`)
    .join('');
}

async function makeKey(file: string): Promise<void> {
  await run(program('ssh-keygen'), ['-q', '-t', 'ed25519', '-N', '', '-f', file]);
}

/** sshd refuses to start by a relative path. */
function program(name: string): string {
  const found = findProgram(name);
  if (found === undefined) throw new Error(`install OpenSSH (${name}): it is a reference of this bench`);
  return found;
}
