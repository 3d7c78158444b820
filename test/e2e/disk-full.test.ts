import {
  endOfTask,
  eventually,
  isAlive,
  outputOf,
  requires,
  runTask,
  startTask,
  TempDir,
  TestAgent,
  TestControlPlane,
} from '@drawbridge/testkit';
import { execFile } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const run = promisify(execFile);
const DISK_BYTES = 16 * 1024 * 1024;

/** A file system of its own, small enough to be filled. */
class SmallDisk implements AsyncDisposable {
  readonly #dir: TempDir;

  private constructor(dir: TempDir) {
    this.#dir = dir;
  }

  static async mount(): Promise<SmallDisk> {
    const dir = await TempDir.make();
    await run('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tmpfs', dir.path]);
    return new SmallDisk(dir);
  }

  join(name: string): string {
    return this.#dir.join(name);
  }

  get path(): string {
    return this.#dir.path;
  }

  /** Takes all room there is, to the last byte. */
  fill(): void {
    const file = openSync(this.join('filler'), 'a');
    try {
      for (let bytes = 65_536; bytes >= 1; bytes = Math.floor(bytes / 2)) writeUntilFull(file, bytes);
    } finally {
      closeSync(file);
    }
  }

  makeRoom(): void {
    rmSync(this.join('filler'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run('umount', ['--lazy', this.path]);
    await this.#dir[Symbol.asyncDispose]();
  }
}

function writeUntilFull(file: number, bytes: number): void {
  const block = Buffer.alloc(bytes);
  try {
    while (writeSync(file, block) === bytes);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
  }
}

/** `first` runs until the file `go` is there, and notes each run of its own in the file `runs`. */
function heldScript(dir: TempDir): string {
  return `echo run >> ${dir.join('runs')}; until [ -e ${dir.join('go')} ]; do sleep 0.02; done; echo done`;
}

describe.runIf(requires('linux', 'root'))('a full disk', () => {
  it('makes the control plane refuse what is new, keep its agents, and go on when there is room', async () => {
    await using disk = await SmallDisk.mount();
    await using dir = await TempDir.make();
    await using controlPlane = await TestControlPlane.start({ dataDir: disk.path });
    await using agent = await TestAgent.start({
      controlPlane,
      config: { reconnection: { base_delay: 0.1, max_delay: 1 } },
    });
    const held = await startTask(controlPlane, { agent: agent.name, instructions: heldScript(dir) });
    // What the agent had to say so far is stored: nothing but the next message meets the full disk.
    await eventually(() => controlPlane.api('GET', `/api/v1/tasks/${held.id}`), {
      what: 'the task to run',
      until: ({ body }) => JSON.stringify(body).includes('"state":"running"'),
    });
    const pid = controlPlane.pid;

    disk.fill();
    // The write-ahead log may still have pages of its own: sooner or later it has none.
    const refused = await eventually(() => controlPlane.api('POST', '/api/v1/join-tokens', {}), {
      what: 'a refusal',
      until: ({ status }) => status !== 201,
    });
    expect([507, 503]).toContain(refused.status);
    expect(refused.body).toMatchObject({ code: expect.stringMatching(/^(disk_full|store_unavailable)$/) });
    expect(await controlPlane.api('GET', '/healthz')).toMatchObject({ status: 200 });
    expect(await controlPlane.api('GET', `/api/v1/agents/${agent.name}`)).toMatchObject({ body: { status: 'online' } });
    expect(await controlPlane.api('GET', `/api/v1/tasks/${held.id}`)).toMatchObject({ status: 200 });
    // Its end cannot be stored now; it is told again until it is.
    writeFileSync(dir.join('go'), '');
    await eventually(() => controlPlane.logs.some((line) => JSON.stringify(line).includes('disk_full')), {
      what: 'the log to tell of the full disk',
      timeoutMs: 30_000,
    });

    disk.makeRoom();
    expect(await endOfTask(controlPlane, held.id)).toMatchObject({ state: 'succeeded', exit_code: 0 });
    expect(await outputOf(controlPlane, held.id)).toBe('done\n');
    expect(readFileSync(dir.join('runs'), 'utf8')).toBe('run\n');
    const next = await eventually(() => runTask(controlPlane, { agent: agent.name, instructions: 'echo again' }), {
      what: 'a task after the disk was full',
      timeoutMs: 30_000,
    });
    expect(next).toMatchObject({ state: 'succeeded' });
    expect(controlPlane.pid).toBe(pid);
    expect(isAlive(pid)).toBe(true);

    await controlPlane.restart();
    expect(await controlPlane.api('GET', `/api/v1/tasks/${held.id}`)).toMatchObject({ body: { state: 'succeeded' } });
  });

  it('makes an agent refuse tasks, and run them again when there is room', async () => {
    await using disk = await SmallDisk.mount();
    await using dir = await TempDir.make();
    await using controlPlane = await TestControlPlane.start();
    await using agent = await TestAgent.start({ controlPlane, dataDir: disk.path });
    const pid = agent.pid;
    const note = `echo run >> ${dir.join('runs')}`;
    expect(await runTask(controlPlane, { agent: agent.name, instructions: note })).toMatchObject({
      state: 'succeeded',
    });

    disk.fill();
    const states = new Set<unknown>();
    for (let attempt = 0; attempt < 5; attempt += 1) {
      const { state, error } = await runTask(controlPlane, { agent: agent.name, instructions: note });
      states.add(state);
      expect(error).toMatchObject({ code: expect.stringMatching(/^(disk_full|journal_unavailable)$/) });
    }
    expect([...states]).toEqual(['failed']);
    expect(readFileSync(dir.join('runs'), 'utf8')).toBe('run\n');
    const path = `/api/v1/agents/${agent.name}`;
    expect(await controlPlane.api('GET', path)).toMatchObject({ body: { status: 'online' } });

    disk.makeRoom();
    const next = await eventually(() => runTask(controlPlane, { agent: agent.name, instructions: note }), {
      what: 'a task to run again',
      timeoutMs: 30_000,
      until: ({ state }) => state === 'succeeded',
    });
    expect(next).toMatchObject({ state: 'succeeded' });
    expect(readFileSync(dir.join('runs'), 'utf8')).toBe('run\nrun\n');
    expect(agent.pid).toBe(pid);
    expect(isAlive(pid)).toBe(true);
  });

  it('fails the task that fills it, tells its outcome when there is room, and never runs it twice', async () => {
    await using disk = await SmallDisk.mount();
    await using dir = await TempDir.make();
    await using controlPlane = await TestControlPlane.start();
    await using agent = await TestAgent.start({ controlPlane, dataDir: disk.path });
    // The operator's own file, which can go.
    writeFileSync(disk.join('filler'), Buffer.alloc(DISK_BYTES / 4));
    const instructions = `echo run >> ${dir.join('runs')}; head -c ${2 * DISK_BYTES} /dev/zero; exit 0`;
    const { id } = await startTask(controlPlane, { agent: agent.name, instructions });
    // No outcome is told that is not on disk.
    await agent.waitForLog(({ msg }) => String(msg).startsWith('outcome not journalled'), 30_000);
    const path = `/api/v1/tasks/${id}`;
    expect(await controlPlane.api('GET', path)).toMatchObject({ body: { state: 'running' } });

    disk.makeRoom();
    const task = await endOfTask(controlPlane, id);
    expect(task).toMatchObject({ state: 'failed', error: { code: 'disk_full' } });
    await agent.restart();
    expect(readFileSync(dir.join('runs'), 'utf8')).toBe('run\n');
    expect(await controlPlane.api('GET', path)).toMatchObject({ body: { state: 'failed' } });
  });
});
