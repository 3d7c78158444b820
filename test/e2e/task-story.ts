import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { DrawbridgeClient, type RetryOptions, type TaskView } from '@drawbridge/client';
import { systemClock } from '@drawbridge/link';
import { eventually, TempDir, type TestAgent, type TestControlPlane } from '@drawbridge/testkit';

/** An agent.yaml for stories that break things: it comes back soon, and its tasks may write beside their directory. */
export const BRISK = {
  reconnection: { base_delay: 0.05, max_delay: 0.5 },
  tasks: { isolation: 'off', kill_grace: 1, concurrency: 16 },
} as const;

/** For programs that outlive a control plane: they give up after a minute in which nothing worked. */
export const PATIENT: RetryOptions = {
  sleep: (delayMs, signal) => systemClock.sleep(delayMs, signal),
  nowMs: () => systemClock.monotonic(),
  patienceMs: 60_000,
};

/** A part takes long enough for something to happen in the middle of it. */
const SLICES_PER_PART = 25;

/** What a task is to write: lines with rising numbers, in parts that the test lets go one by one. */
export interface NumberedTask {
  readonly name: string;
  readonly parts: number;
  readonly linesPerPart: number;
}

/** A directory outside of every agent in which tasks leave their marks and wait for a word of the test. */
export class Ledger implements AsyncDisposable {
  readonly #dir: TempDir;

  private constructor(dir: TempDir) {
    this.#dir = dir;
  }

  static async make(): Promise<Ledger> {
    return new Ledger(await TempDir.make('drawbridge-ledger-'));
  }

  /** A line of shell that notes each run of `name`. */
  note(name: string): string {
    return `echo run >> '${this.path(`runs-${name}`)}'`;
  }

  /** A line of shell that waits until the test says `go`, or is over. */
  await(word: string): string {
    return `while [ -d '${this.#dir.path}' ] && [ ! -e '${this.path(`go-${word}`)}' ]; do sleep 0.02; done`;
  }

  go(word: string): void {
    writeFileSync(this.path(`go-${word}`), '');
  }

  /** How often `name` ran. */
  runs(name: string): number {
    const path = this.path(`runs-${name}`);
    return existsSync(path) ? readFileSync(path, 'utf8').split('\n').length - 1 : 0;
  }

  /** Everything that ran, and how often. */
  allRuns(): Record<string, number> {
    const names = readdirSync(this.#dir.path).flatMap((file) => /^runs-(.+)$/.exec(file)?.[1] ?? []);
    return Object.fromEntries(names.map((name) => [name, this.runs(name)]));
  }

  path(name: string): string {
    return this.#dir.join(name);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#dir[Symbol.asyncDispose]();
  }

  /** The script of a numbered task; part n (from 1) waits for `go('part-n')`, and comes in slices, with pauses. */
  scriptOf({ name, parts, linesPerPart }: NumberedTask): string {
    return [
      this.note(name),
      'slice() { seq "$1" "$2"; sleep 0.02; }',
      ...Array.from({ length: parts }, (_, part) => this.#part(part, linesPerPart)),
    ].join('\n');
  }

  #part(part: number, lines: number): string {
    const slices = Array.from({ length: SLICES_PER_PART }, (_, slice) => {
      const first = part * lines + Math.floor((slice * lines) / SLICES_PER_PART) + 1;
      const last = part * lines + Math.floor(((slice + 1) * lines) / SLICES_PER_PART);
      return `slice ${first} ${last}`;
    });
    return [this.await(`part-${part + 1}`), ...slices].join('\n');
  }
}

/** What a numbered task writes. */
export function outputOf({ parts, linesPerPart }: NumberedTask): Buffer {
  return Buffer.from(Array.from({ length: parts * linesPerPart }, (_, index) => `${index + 1}\n`).join(''));
}

/** A client that signs in as the admin. */
export function clientOf({ url, token }: Pick<TestControlPlane, 'url' | 'token'>): DrawbridgeClient {
  return new DrawbridgeClient({ url, token, fetch });
}

/** What a shell needs to call the control plane. */
export function cliEnv({ url, token, caFile }: TestControlPlane): NodeJS.ProcessEnv {
  return {
    DRAWBRIDGE_URL: url,
    DRAWBRIDGE_TOKEN: token,
    ...(caFile === undefined ? {} : { DRAWBRIDGE_CA: caFile }),
  };
}

/** Starts a shell task without trying twice; `queueIfOffline` for stories in which the agent may just be away. */
export function startTask(
  client: DrawbridgeClient,
  agent: Pick<TestAgent, 'agentId'>,
  script: string,
  { queueIfOffline = false } = {},
): Promise<TaskView> {
  const task = { agent: agent.agentId, provider: 'shell', instructions: script, queueIfOffline };
  return client.createTask(task, { ...PATIENT, patienceMs: 0 });
}

/** Resolves when the control plane has heard that the task runs. */
export async function untilRunning(client: DrawbridgeClient, taskId: string): Promise<void> {
  await eventually(async () => (await client.getTask(taskId)).state, {
    what: 'the task to run',
    until: (state) => state === 'running',
    timeoutMs: 20_000,
  });
}

/** A follower that has taken what came so far. */
export interface Follower {
  /** Bytes so far. */
  readonly byteCount: () => number;
  /** All bytes, once the task has ended. */
  readonly whole: Promise<Buffer>;
}

/** Follows a task's output to its end, over restarts of everything. */
export function follow(client: DrawbridgeClient, taskId: string): Follower {
  const chunks: Uint8Array[] = [];
  let byteCount = 0;
  const read = async () => {
    for await (const chunk of client.followOutput(taskId, 0, PATIENT)) {
      chunks.push(chunk);
      byteCount += chunk.byteLength;
    }
    return Buffer.concat(chunks);
  };
  const whole = read();
  // Whoever waits for it sees the failure; a story that failed before that must not end with another error.
  whole.catch(() => undefined);
  return { byteCount: () => byteCount, whole };
}

/** What a reader got of a task, and what its agent says of it. */
export interface Reading {
  readonly state: string;
  readonly byteCount: number;
  readonly receivedSha256: string;
  readonly writtenSha256: string | null;
}

/** Reads to the end, waits for the end of the task, and compares nothing yet. */
export async function readingOf(client: DrawbridgeClient, taskId: string, whole: Promise<Buffer>): Promise<Reading> {
  const bytes = await whole;
  const { state, output_sha256: writtenSha256 } = await client.waitForTask(taskId, PATIENT);
  return { state, byteCount: bytes.length, receivedSha256: sha256Of(bytes), writtenSha256 };
}

/** The reading of a numbered task of which nothing is missing and nothing came twice. */
export function perfectReading(task: NumberedTask): Reading {
  const bytes = outputOf(task);
  const sha256 = sha256Of(bytes);
  return { state: 'succeeded', byteCount: bytes.length, receivedSha256: sha256, writtenSha256: sha256 };
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
