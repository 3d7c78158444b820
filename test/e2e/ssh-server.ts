import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { TempDir, TestProcess, eventually, listeningPort } from '@drawbridge/testkit';

const run = promisify(execFile);

/** An OpenSSH server of a test's own: its keys, its port on the loopback, and a key that may sign in. */
export class SshServer implements AsyncDisposable {
  readonly port: number;
  /** The private key of somebody who may sign in as root. */
  readonly identity: string;
  readonly #dir: TempDir;
  readonly #process: TestProcess;

  private constructor(dir: TempDir, port: number, process: TestProcess) {
    this.#dir = dir;
    this.port = port;
    this.#process = process;
    this.identity = dir.join('client_key');
  }

  static async start(): Promise<SshServer> {
    const dir = await TempDir.make('drawbridge-sshd-');
    for (const name of ['host_key', 'client_key'])
      await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', dir.join(name)]);
    await writeFile(dir.join('authorized_keys'), await readFile(dir.join('client_key.pub')));
    const port = await freePort();
    const settings = [
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      `HostKey ${dir.join('host_key')}`,
      `AuthorizedKeysFile ${dir.join('authorized_keys')}`,
      `PidFile ${dir.join('pid')}`,
      'StrictModes no',
      'UsePAM no',
      'PasswordAuthentication no',
      'PermitRootLogin yes',
      'Subsystem sftp internal-sftp',
    ];
    await writeFile(dir.join('sshd_config'), `${settings.join('\n')}\n`);
    // Where it separates its privileges; its service would make it.
    await mkdir('/run/sshd', { recursive: true });
    const process = await TestProcess.start({
      command: '/usr/sbin/sshd',
      args: ['-D', '-e', '-f', dir.join('sshd_config')],
    });
    await eventually(() => process.stderr.text.includes('Server listening'), { what: 'sshd' });
    return new SshServer(dir, port, process);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
    await this.#dir[Symbol.asyncDispose]();
  }
}

/** sshd does not say which port it got. */
async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const port = listeningPort(server);
  const closed = once(server, 'close');
  server.close();
  await closed;
  return port;
}
