import { basename } from 'node:path';
import type { Argv, RunResult, ServiceHost } from './service-host.ts';
import type { ServiceSpec } from './service-spec.ts';

/** The paths of a machine where everything is where the documentation has it. */
export const SPEC: ServiceSpec = {
  scope: 'system',
  serviceUser: 'drawbridge-agent',
  node: '/usr/bin/node',
  program: '/opt/drawbridge/dist/drawbridge.js',
  config: '/etc/drawbridge/agent.yaml',
  data: '/var/lib/drawbridge-agent',
  envFile: '/etc/drawbridge/agent.env',
  allowSudo: false,
  stopSeconds: 55,
};

/** A machine whose files are below `root` and whose service manager only keeps book. */
export class FakeServiceHost implements ServiceHost {
  readonly platform: NodeJS.Platform;
  readonly uid: number;
  readonly root: string;
  readonly home: string;
  readonly configHome: string;
  /** Every command, as one would type it. */
  readonly commands: string[] = [];
  readonly users = new Map([['drawbridge-agent', process.getuid?.() ?? 0]]);
  isEnabled = false;
  isActive = false;
  /** The command that fails, by its beginning. */
  failing: string | undefined;

  constructor(root: string, { platform = 'linux', uid = 0 }: { platform?: NodeJS.Platform; uid?: number } = {}) {
    this.platform = platform;
    this.uid = uid;
    this.root = root;
    this.home = `${root}/home`;
    this.configHome = `${root}/home/.config`;
  }

  run([program, ...args]: Argv): Promise<RunResult> {
    const command = [basename(program), ...args].join(' ');
    this.commands.push(command);
    return Promise.resolve(this.#answer(command, args));
  }

  #answer(command: string, args: readonly string[]): RunResult {
    if (this.failing !== undefined && command.startsWith(this.failing)) return failed('no such luck');
    if (command.startsWith('id -u ')) {
      const uid = this.users.get(args[1] ?? '');
      return uid === undefined ? failed('no such user') : ok(`${uid}\n`);
    }
    if (command.includes(' show ')) return ok(this.#show());
    if (command.startsWith('launchctl print'))
      return this.isActive ? ok('\tstate = running\n\tpid = 42\n') : failed('');
    if (/ (start|restart|bootstrap) /.test(command)) this.isActive = true;
    if (/ (enable) /.test(command)) this.isEnabled = true;
    if (/ (disable --now|bootout) /.test(command)) this.isActive = this.isEnabled = false;
    return ok('');
  }

  #show(): string {
    const active = this.isActive ? 'ActiveState=active\nSubState=running' : 'ActiveState=inactive\nSubState=dead';
    return `${active}\nUnitFileState=${this.isEnabled ? 'enabled' : ''}\nMainPID=${this.isActive ? 42 : 0}\n`;
  }
}

function ok(stdout: string): RunResult {
  return { code: 0, stdout, stderr: '' };
}

function failed(stderr: string): RunResult {
  return { code: 1, stdout: '', stderr };
}
