import { TempDir, TestProcess, drawbridge, runCli, streamCli } from '@drawbridge/testkit';
import type { CliResult, RunCliOptions, TestControlPlane } from '@drawbridge/testkit';
import { z } from 'zod';

/** A person with a data directory of their own and nothing in the environment that signs them in. */
export class CliUser implements AsyncDisposable {
  readonly dir: TempDir;

  private constructor(dir: TempDir) {
    this.dir = dir;
  }

  static async make(): Promise<CliUser> {
    return new CliUser(await TempDir.make('drawbridge-user-'));
  }

  /** `drawbridge args…` as this person. */
  run(args: readonly string[], { env, ...options }: RunCliOptions = {}): Promise<CliResult> {
    return runCli(args, { ...options, env: { ...this.env, ...env } });
  }

  /** The same, for a test that talks with it while it runs. */
  stream(args: readonly string[]): Promise<TestProcess> {
    return streamCli(args, { env: this.env });
  }

  /** The same, with a terminal for a keyboard and a screen (needs the part `terminal`). */
  inTerminal(args: readonly string[]): Promise<TestProcess> {
    const { command, args: words, env } = drawbridge(args, { env: this.env });
    const line = [command, ...words].map((word) => `'${word}'`).join(' ');
    return TestProcess.start({ command: 'script', args: ['-qec', line, '/dev/null'], env });
  }

  /** The documents that `drawbridge args… --json` answers with, one a line. */
  async documents(args: readonly string[], options: RunCliOptions = {}): Promise<unknown[]> {
    const { code, stdout, stderr } = await this.run([...args, '--json'], options);
    if (code !== 0 || stderr !== '') throw new Error(`${args.join(' ')} ended with ${code}: ${stderr}`);
    return stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as unknown]));
  }

  /** How `drawbridge args… --json` fails: its exit code, and the document on standard error. */
  async refusal(args: readonly string[], options: RunCliOptions = {}): Promise<{ exit: number } & Refusal> {
    const { code: exit, stdout, stderr } = await this.run([...args, '--json'], options);
    if (stdout !== '') throw new Error(`${args.join(' ')} failed, but answers: ${stdout}`);
    return { exit, ...Refusal.parse(JSON.parse(stderr)) };
  }

  get env(): NodeJS.ProcessEnv {
    return { DRAWBRIDGE_DATA: this.dir.path };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dir[Symbol.asyncDispose]();
  }
}

/** What a command says with `--json` when it fails. */
export const Refusal = z.strictObject({ code: z.string(), message: z.string(), request_id: z.string().optional() });
type Refusal = z.infer<typeof Refusal>;

export const PASSWORD = 'correct horse battery';

/** Makes a user with a password and one role. */
export async function makeUser(plane: TestControlPlane, name: string, role = 'viewer'): Promise<void> {
  const { status, body } = await plane.api('POST', '/api/v1/users', { name, password: PASSWORD, roles: [{ role }] });
  if (status !== 201) throw new Error(`user ${name}: ${status} ${JSON.stringify(body)}`);
}
