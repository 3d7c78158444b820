import { execFile, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { findProgram } from './find-program.ts';
import { dropNewInbound } from './firewall.ts';
import { killAll } from './kill.ts';

/** Which namespaces to make. */
export interface NamespacesOptions {
  /** Short names, in the order in which they are joined: each reaches its neighbours and nobody else. */
  readonly names: readonly string[];
  /** The one into which no new connection gets: only answers to its own. */
  readonly dropInboundTo?: string;
}

/** What a command in a namespace left behind. */
export interface NamespaceResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const run = promisify(execFile);

/** A row of Linux network namespaces, each joined to the next by a virtual cable. */
export class Namespaces implements AsyncDisposable {
  readonly #names: readonly string[];
  /** Apart for each run, so that runs do not meet. */
  readonly #prefix = `drawbridge-${randomBytes(4).toString('hex')}`;

  private constructor(names: readonly string[]) {
    this.#names = names;
  }

  /** Makes them, or leaves nothing behind. */
  static async make({ names, dropInboundTo }: NamespacesOptions): Promise<Namespaces> {
    const namespaces = new Namespaces(names);
    try {
      for (const name of names) await namespaces.#add(name);
      for (const index of names.keys()) if (index > 0) await namespaces.#join(index);
      if (dropInboundTo !== undefined) await dropNewInbound(namespaces.systemName(dropInboundTo));
      return namespaces;
    } catch (error) {
      await namespaces[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The name the system knows it by: for `ip netns exec`, and for everything here that takes a `namespace`. */
  systemName(name: string): string {
    this.#indexOf(name);
    return `${this.#prefix}-${name}`;
  }

  /** Where its neighbour `from` reaches `name`. */
  address(name: string, { from }: { readonly from: string }): string {
    const [index, fromIndex] = [this.#indexOf(name), this.#indexOf(from)];
    if (Math.abs(index - fromIndex) !== 1) throw new Error(`namespaces ${name} and ${from} are not joined`);
    return addressOn(Math.max(index, fromIndex), index < fromIndex ? 'near' : 'far');
  }

  /** Runs a command inside, to its end. */
  async run(name: string, command: readonly string[]): Promise<NamespaceResult> {
    const args = ['netns', 'exec', this.systemName(name), ...command];
    return new Promise((resolve, reject) => {
      execFile('ip', args, (error, stdout, stderr) => {
        if (error === null) resolve({ code: 0, stdout, stderr });
        else if (typeof error.code === 'number') resolve({ code: error.code, stdout, stderr });
        else reject(error);
      });
    });
  }

  /** Kills what still runs inside and takes everything away. */
  async [Symbol.asyncDispose](): Promise<void> {
    const existing = new Set((await run('ip', ['netns', 'list'])).stdout.split('\n').map((line) => line.split(' ')[0]));
    for (const name of this.#names.map((name) => this.systemName(name)).filter((name) => existing.has(name))) {
      const { stdout } = await run('ip', ['netns', 'pids', name]);
      await killAll(
        stdout
          .split('\n')
          .filter((line) => line !== '')
          .map(Number),
      );
      // The cables end with the namespaces they are in.
      await run('ip', ['netns', 'del', name]);
    }
  }

  async #add(name: string): Promise<void> {
    await run('ip', ['netns', 'add', this.systemName(name)]);
    await run('ip', ['-n', this.systemName(name), 'link', 'set', 'lo', 'up']);
  }

  /** Joins the namespace at `index` to the one before it. The cable never shows outside. */
  async #join(index: number): Promise<void> {
    const [near, far] = [this.#names[index - 1], this.#names[index]].map((name) => this.systemName(name ?? ''));
    if (near === undefined || far === undefined) throw new RangeError(`no namespace ${index}`);
    const [nearLink, farLink] = [`to${index}`, `from${index}`];
    await run('ip', ['link', 'add', nearLink, 'netns', near, 'type', 'veth', 'peer', 'name', farLink, 'netns', far]);
    await run('ip', ['-n', near, 'addr', 'add', `${addressOn(index, 'near')}/30`, 'dev', nearLink]);
    await run('ip', ['-n', far, 'addr', 'add', `${addressOn(index, 'far')}/30`, 'dev', farLink]);
    await run('ip', ['-n', near, 'link', 'set', nearLink, 'up']);
    await run('ip', ['-n', far, 'link', 'set', farLink, 'up']);
  }

  #indexOf(name: string): number {
    const index = this.#names.indexOf(name);
    if (index < 0) throw new Error(`no namespace ${name} among ${this.#names.join(', ')}`);
    return index;
  }
}

/** Whether this process may make network namespaces here, and why not. */
export function canMakeNamespaces(): { readonly possible: boolean; readonly reason: string } {
  if (process.platform !== 'linux') return { possible: false, reason: `no network namespaces on ${process.platform}` };
  if (findProgram('ip') === undefined) return { possible: false, reason: 'no ip command: install iproute2' };
  const name = `drawbridge-${randomBytes(4).toString('hex')}-probe`;
  const probe = spawnSync('ip', ['netns', 'add', name], { encoding: 'utf8' });
  if (probe.status !== 0) return { possible: false, reason: `ip netns add: ${probe.stderr.trim()}` };
  spawnSync('ip', ['netns', 'del', name]);
  return { possible: true, reason: '' };
}

/** Both ends of the cable to namespace `index`: 10.77.<index>.1 and .2. Nobody outside sees them. */
function addressOn(index: number, end: 'near' | 'far'): string {
  return `10.77.${index}.${end === 'near' ? 1 : 2}`;
}
