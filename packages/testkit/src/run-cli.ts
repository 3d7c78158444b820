import { drawbridge, type DrawbridgeOptions } from './drawbridge-command.ts';
import { TestProcess } from './test-process.ts';

/** How to run a command to its end. */
export interface RunCliOptions extends DrawbridgeOptions {
  /** Given to standard input, which then ends. */
  readonly input?: string | Uint8Array;
  readonly timeoutMs?: number;
}

/** What a command left behind. */
export interface CliResult {
  /** 128 and the signal's number when it was killed, as in a shell. */
  readonly code: number;
  readonly stdout: string;
  readonly stdoutBytes: Buffer;
  readonly stderr: string;
}

const TIMEOUT_MS = 60_000;
const KILLED_CODE = 137;

/** Runs `drawbridge args…` to its end. */
export async function runCli(args: readonly string[], options: RunCliOptions = {}): Promise<CliResult> {
  const { input, timeoutMs = TIMEOUT_MS } = options;
  await using cli = await streamCli(args, options);
  const chunks: Buffer[] = [];
  cli.onStdout((chunk) => chunks.push(chunk));
  if (input !== undefined) cli.write(input);
  cli.endInput();
  const { code } = await cli.exited(timeoutMs);
  const stdoutBytes = Buffer.concat(chunks);
  return { code: code ?? KILLED_CODE, stdout: stdoutBytes.toString(), stdoutBytes, stderr: cli.stderr.text };
}

/** Starts `drawbridge args…` for a test that talks with it while it runs. */
export function streamCli(args: readonly string[], options: DrawbridgeOptions = {}): Promise<TestProcess> {
  return TestProcess.start(drawbridge(args, options));
}
