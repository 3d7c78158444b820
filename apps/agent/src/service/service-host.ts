import { execFile } from 'node:child_process';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** A program and its arguments. */
export type Argv = readonly [program: string, ...args: string[]];

/** How a program of the system ended. */
export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The machine a service is installed on; a test brings its own. */
export interface ServiceHost {
  readonly platform: NodeJS.Platform;
  readonly uid: number;
  readonly home: string;
  /** Where a user's own units are: `$XDG_CONFIG_HOME`. */
  readonly configHome: string;
  /** What paths such as /etc begin with. */
  readonly root: string;
  /** Runs a program to its end. One that is missing, or takes too long, has a code other than 0. */
  run(argv: Argv, timeoutMs: number): Promise<RunResult>;
}

const CODE_NOT_FOUND = 127;
const CODE_FAILED = 1;
const OUTPUT_BYTES_MAX = 1024 * 1024;

/** This machine. */
export function systemHost(env: NodeJS.ProcessEnv): ServiceHost {
  const home = homedir();
  const configHome = env['XDG_CONFIG_HOME'];
  return {
    platform: process.platform,
    uid: process.getuid?.() ?? -1,
    home,
    configHome: configHome === undefined || configHome === '' ? join(home, '.config') : configHome,
    root: '/',
    run: runProgram,
  };
}

function runProgram([program, ...args]: Argv, timeoutMs: number): Promise<RunResult> {
  return new Promise((resolve) => {
    const options = { timeout: timeoutMs, maxBuffer: OUTPUT_BYTES_MAX, killSignal: 'SIGKILL' } as const;
    execFile(program, args, options, (error, stdout, stderr) => {
      if (error === null) return resolve({ code: 0, stdout, stderr });
      const missing = error.code === 'ENOENT';
      const code = typeof error.code === 'number' ? error.code : missing ? CODE_NOT_FOUND : CODE_FAILED;
      resolve({ code, stdout, stderr: stderr === '' ? error.message : stderr });
    });
  });
}
