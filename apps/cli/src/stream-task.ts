import { ApiError } from '@drawbridge/client';
import type { DrawbridgeClient, TaskView } from '@drawbridge/client';
import { ExitCode, Interrupted, exitCodeOf, exitCodeOfTask } from './exit-codes.ts';
import { colour, note, plain, printJson, write } from './output.ts';
import type { Colour } from './output.ts';
import { patience } from './patience.ts';

export interface StreamOptions {
  readonly json: boolean;
  readonly since?: number;
}

/**
 * Streams a task's output to standard output until it has ended, says how it ended, and resolves to the exit code. When the
 * agent has gone with the rest of the output, that is said too, and is no success.
 */
export async function streamTask(
  client: DrawbridgeClient,
  taskId: string,
  options: StreamOptions,
  signal: AbortSignal,
): Promise<number> {
  const retry = patience();
  const lost = await pour(client.followOutput(taskId, options.since ?? 0, retry, signal), options).catch(agentIsGone);
  if (lost !== undefined) note(lost.message, 'yellow');
  const task = await client.waitForTask(taskId, retry, signal);
  if (options.json) printJson({ type: 'outcome', task });
  else process.stderr.write(`${outcomeLine(task)}\n`);
  const code = exitCodeOfTask(task);
  return lost !== undefined && code === ExitCode.Ok ? exitCodeOf(lost) : code;
}

/** A follower is told this only of a task that has ended: its outcome is known all the same. */
function agentIsGone(error: unknown): ApiError {
  if (error instanceof ApiError && ['agent_offline', 'agent_not_found'].includes(error.code)) return error;
  throw error;
}

/** Bytes to standard output as they are, or one JSON line a chunk. */
export async function pour(chunks: AsyncIterable<Uint8Array>, { json, since = 0 }: StreamOptions): Promise<void> {
  const decoder = new TextDecoder();
  let offset = since;
  for await (const bytes of chunks) {
    if (json) printJson({ type: 'output', offset, text: decoder.decode(bytes, { stream: true }) });
    else await write(process.stdout, bytes);
    offset += bytes.byteLength;
  }
}

/**
 * Runs `work` while the first Ctrl-C asks for `onInterrupt` and the second one leaves at once.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>, onInterrupt: () => void): Promise<T> {
  const leave = new AbortController();
  let interrupts = 0;
  const interrupted = () => {
    interrupts += 1;
    if (interrupts === 1) onInterrupt();
    else leave.abort(new Interrupted());
  };
  process.on('SIGINT', interrupted);
  try {
    return await work(leave.signal);
  } finally {
    process.off('SIGINT', interrupted);
  }
}

/** `task 3f… succeeded · exit 0 · 1.2 s · 1,234 bytes`. */
export function outcomeLine(task: TaskView): string {
  const facts = [
    task.exit_code === null ? undefined : `exit ${task.exit_code}`,
    task.signal === null ? undefined : task.signal,
    secondsOf(task),
    task.output_bytes === null ? undefined : `${task.output_bytes.toLocaleString('en')} bytes`,
    task.error === null ? undefined : plain(task.error.message),
  ];
  const state = colour(stateColour(task.state) ?? 'dim', task.state.replaceAll('_', ' '), process.stderr);
  return [`task ${task.id} ${state}`, ...facts.filter((fact) => fact !== undefined)].join(' · ');
}

/** Green for what went well, red for what did not, yellow for what somebody stopped. */
export function stateColour(state: TaskView['state']): Colour | undefined {
  switch (state) {
    case 'succeeded':
      return 'green';
    case 'cancelled':
      return 'yellow';
    case 'queued':
      return 'dim';
    case 'starting':
    case 'running':
    case 'waiting':
      return undefined;
    default:
      return 'red';
  }
}

function secondsOf({ started_at: startedAt, ended_at: endedAt }: TaskView): string | undefined {
  if (startedAt === null || endedAt === null) return undefined;
  return `${((Date.parse(endedAt) - Date.parse(startedAt)) / 1000).toFixed(1)} s`;
}
