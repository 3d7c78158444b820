import { mkdirSync, readFileSync, readdirSync, rmdirSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type CliResult,
  TempDir,
  TestProcess,
  childrenOf,
  drawbridge,
  eventually,
  findProgram,
} from '@drawbridge/testkit';

/**
 * Its own `/run`, where systemd looks whether it runs the machine, and its own control groups: nothing of the manager shows
 * outside, and all its processes end with the first one.
 */
const SCRIPT = `
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system "$XDG_RUNTIME_DIR"
umount -R -l /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
"$1" --user &
until systemctl --user show --property=Version >/dev/null 2>&1; do sleep 0.1; done
echo ready
wait
`;

const NAMESPACES = [
  '--mount',
  '--pid',
  '--cgroup',
  '--fork',
  '--mount-proc',
  '--kill-child',
  '--propagation',
  'private',
];
const START_TIMEOUT_MS = 20_000;

/** A real systemd that manages the services of a user, in namespaces of its own. Needs root on Linux. */
export class UserManager implements AsyncDisposable {
  readonly #dir: TempDir;
  readonly #group: string;
  readonly #process: TestProcess;
  /** The process in whose namespaces commands are run. */
  readonly #inside: number;
  readonly #binary: string;

  private constructor(dir: TempDir, group: string, process: TestProcess, inside: number, binary: string) {
    this.#binary = binary;
    this.#dir = dir;
    this.#group = group;
    this.#process = process;
    this.#inside = inside;
  }

  /** Whether this machine has what it takes; says in one line what it lacks. */
  static isPossible(): boolean {
    const parts = {
      systemd: systemdProgram(),
      'control groups of version 2': cgroup2Root(),
      'util-linux': findProgram('nsenter'),
    };
    const missing = Object.entries(parts).flatMap(([name, part]) => (part === undefined ? [name] : []));
    if (missing.length > 0) process.stderr.write(`skipped: needs ${missing.join(', ')}\n`);
    return missing.length === 0;
  }

  /** Resolves when the manager answers. `binary` is the `drawbridge` of its user. */
  static async start(binary: string): Promise<UserManager> {
    const dir = await TempDir.make('drawbridge-systemd-');
    const group = join(cgroup2Root() ?? '', `drawbridge-test-${process.pid}`);
    mkdirSync(group);
    const enter = `echo $$ > ${group}/cgroup.procs; exec "$@"`;
    const args = ['-c', enter, 'sh', 'unshare', ...NAMESPACES, 'sh', '-c', SCRIPT, 'sh', systemdProgram() ?? ''];
    const started = await TestProcess.start({ command: 'sh', args, env: environment(dir) });
    const isReady = () => started.stdout.lines.find((line) => line === 'ready');
    try {
      await started.waitFor(isReady, { what: 'systemd to answer', timeoutMs: START_TIMEOUT_MS });
      const [inside] = childrenOf(started.pid);
      if (inside === undefined) throw new Error('unshare has no child');
      return new UserManager(dir, group, started, inside, binary);
    } catch (error) {
      await started[Symbol.asyncDispose]();
      await removeGroup(group);
      await dir[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Where a unit of this name belongs; it is read when it is first started. */
  async unitPath(name: string): Promise<string> {
    const folder = this.#dir.join('config', 'systemd', 'user');
    await mkdir(folder, { recursive: true });
    return join(folder, name);
  }

  /** `drawbridge …` as this user types it. */
  cli(...words: string[]): Promise<CliResult> {
    const { command, args } = drawbridge(words, { binary: this.#binary });
    return this.run(command, ...args);
  }

  /** A program inside, to its end. */
  async run(command: string, ...words: readonly string[]): Promise<CliResult> {
    const args = ['-t', `${this.#inside}`, '--mount', '--pid', '--', command, ...words];
    const env = { ...drawbridge([], {}).env, ...environment(this.#dir) };
    await using program = await TestProcess.start({ command: 'nsenter', args, env });
    const chunks: Buffer[] = [];
    program.onStdout((chunk) => chunks.push(chunk));
    program.endInput();
    const { code } = await program.exited();
    const stdoutBytes = Buffer.concat(chunks);
    return { code: code ?? 1, stdout: stdoutBytes.toString(), stdoutBytes, stderr: program.stderr.text };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
    await removeGroup(this.#group);
    await this.#dir[Symbol.asyncDispose]();
  }
}

function environment(dir: TempDir): NodeJS.ProcessEnv {
  const { PATH, HOME } = process.env;
  return { PATH, HOME, XDG_RUNTIME_DIR: '/run/user-manager', XDG_CONFIG_HOME: dir.join('config') };
}

function systemdProgram(): string | undefined {
  return ['/usr/lib/systemd', '/lib/systemd'].flatMap((dir) => findIn(dir, 'systemd'))[0];
}

function findIn(dir: string, name: string): string[] {
  try {
    return readdirSync(dir).includes(name) ? [join(dir, name)] : [];
  } catch {
    return [];
  }
}

/** Where the machine has its second version of control groups, alone or beside the first. */
function cgroup2Root(): string | undefined {
  const mounts = readFileSync('/proc/mounts', 'utf8').split('\n');
  return mounts.map((line) => line.split(' ')).find(([, , type]) => type === 'cgroup2')?.[1];
}

/** A group is removed from within, and only when the last process in it is gone. */
async function removeGroup(group: string): Promise<void> {
  const remove = (path: string): void => {
    const children = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    for (const { name } of children) remove(join(path, name));
    rmdirSync(path);
  };
  await eventually(() => (remove(group), true), { what: `${group} to be empty` });
}
