import { randomBytes } from 'node:crypto';
import { copyFile, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { eventually, runCli, streamCli, TempDir, TestAgent, TestControlPlane } from '@drawbridge/testkit';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { BRISK, cliEnv, clientOf, Ledger, PATIENT, startTask } from './task-story.ts';

const KEYS = ['secret.key', 'server-identity.json'];
const Saved = z.object({
  file: z.string(),
  bytes: z.number(),
  rows: z.number(),
  tables: z.record(z.string(), z.number()),
});

/** A new data directory with the keys of this control plane, which the owner has kept. */
async function freshDirectory({ dataDir }: TestControlPlane): Promise<TempDir> {
  const dir = await TempDir.make('drawbridge-restored-');
  for (const name of KEYS) await copyFile(join(dataDir, name), dir.join(name));
  return dir;
}

const copies = async (dir: string) => (await readdir(dir)).filter((name) => name.includes('.copy-'));

describe('a backup', () => {
  it('taken while tasks run is restored elsewhere, and the agent comes back and works on', async () => {
    await using files = await TempDir.make();
    await using ledger = await Ledger.make();
    await using plane = await TestControlPlane.start();
    await using agent = await TestAgent.start({ controlPlane: plane, config: BRISK });
    const client = clientOf(plane);
    const done = await startTask(client, agent, ledger.note('done'));
    await client.waitForTask(done.id, PATIENT);
    const script = `${ledger.note('running')}\n${ledger.await('on')}`;
    const running = await startTask(client, agent, script);
    await eventually(() => ledger.runs('running') > 0, { what: 'the task to run', timeoutMs: 20_000 });
    const load = (async () => {
      for (let index = 0; index < 10; index += 1) await startTask(client, agent, ledger.note(`load-${index}`));
    })();
    const file = files.join('test.backup');
    const saved = await runCli(['server', 'backup', file, '--json'], { env: cliEnv(plane) });
    expect(saved).toMatchObject({ code: 0, stderr: '' });
    const { rows, bytes, tables } = Saved.parse(JSON.parse(saved.stdout));
    expect(await stat(file)).toMatchObject({ size: bytes, mode: 0o100600 });
    expect(tables).toMatchObject({ agents: 1, users: 1 });
    await load;
    const later = await startTask(client, agent, ledger.note('later'));
    await client.waitForTask(later.id, PATIENT);
    expect(await copies(plane.dataDir)).toEqual([]);
    await plane.stop();

    await using dir = await freshDirectory(plane);
    const restored = await runCli(['server', 'restore', file, '--data', dir.path, '--json']);
    expect(restored).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(restored.stdout)).toMatchObject({ rows, indeterminate: { tasks: expect.any(Number) } });

    const { port } = new URL(plane.url);
    await using second = await TestControlPlane.start({ dataDir: dir.path, args: ['--port', port] });
    const again = clientOf({ url: second.url, token: plane.token });
    expect(await again.getTask(running.id)).toMatchObject({
      state: 'indeterminate',
      error: { code: 'indeterminate', message: expect.stringMatching(/^the control plane was put back to 20/) },
    });
    expect(await again.getTask(done.id)).toMatchObject({ state: 'succeeded' });
    await expect(again.getTask(later.id)).rejects.toMatchObject({ code: 'task_not_found' });
    await eventually(() => again.getAgent(agent.name), {
      what: 'the agent to come back',
      until: ({ status }) => status === 'online',
      timeoutMs: 20_000,
    });
    // What it never heard an answer to is told again, and changes nothing any more.
    ledger.go('on');
    const next = await startTask(again, agent, ledger.note('next'));
    expect(await again.waitForTask(next.id, PATIENT)).toMatchObject({ state: 'succeeded' });
    expect(await again.getTask(running.id)).toMatchObject({ state: 'indeterminate' });
    expect(Object.values(ledger.allRuns()).filter((times) => times !== 1)).toEqual([]);
    expect(await again.audit.verify()).toMatchObject({ ok: true });
    expect((await Array.fromAsync(again.audit.list({ verb: 'server.restore' }))).length).toBe(1);
  });

  it('goes to standard output too, and is refused where it does not belong', async () => {
    await using files = await TempDir.make();
    await using plane = await TestControlPlane.start();
    const piped = await runCli(['server', 'backup', '-'], { env: cliEnv(plane) });
    expect(piped).toMatchObject({ code: 0, stderr: expect.stringContaining('secret.key') });
    const file = files.join('piped.backup');
    await writeFile(file, piped.stdoutBytes);
    const running = await runCli(['server', 'restore', file, '--data', plane.dataDir, '--force']);
    expect(running).toMatchObject({ code: 1, stderr: expect.stringContaining('another control plane runs on') });
    const keyless = await runCli(['server', 'restore', file, '--data', files.path]);
    expect(keyless).toMatchObject({ code: 1, stderr: expect.stringContaining('server-identity.json is missing') });
    await writeFile(file, piped.stdoutBytes.subarray(0, -20));
    await using dir = await freshDirectory(plane);
    const cut = await runCli(['server', 'restore', file, '--data', dir.path]);
    expect(cut).toMatchObject({ code: 2, stderr: expect.stringContaining('this is no whole backup') });
    expect((await readdir(dir.path)).toSorted()).toEqual([...KEYS]);
  });
});

describe('a backup that does not end', () => {
  it('leaves nothing behind after kill -9 of the control plane and its next start', async () => {
    await using plane = await startWithMuch();
    await using unread = await fetchBackup(plane);
    expect(await copies(plane.dataDir)).not.toEqual([]);
    await plane.kill9();
    expect(await copies(plane.dataDir)).not.toEqual([]);
    await plane.restart();
    expect(await copies(plane.dataDir)).toEqual([]);
    await expect(unread.body()).rejects.toThrow();
  });

  it('leaves the file as it was when the control plane dies', async () => {
    await using files = await TempDir.make();
    await using plane = await startWithMuch();
    const file = files.join('kept.backup');
    await writeFile(file, 'an older backup');
    await using cli = await streamCli(['server', 'backup', file], { env: cliEnv(plane) });
    await eventually(() => readdir(files.path), { what: 'the file to be begun', until: (names) => names.length > 1 });
    await plane.kill9();
    expect(await cli.exited()).toMatchObject({ code: 6 });
    expect(await readFile(file, 'utf8')).toBe('an older backup');
    expect(await readdir(files.path)).toEqual(['kept.backup']);
  });

  it('keeps another one waiting, and no control plane from stopping', async () => {
    await using plane = await startWithMuch();
    await using _unread = await fetchBackup(plane);
    expect(await plane.api('POST', '/api/v1/backups')).toMatchObject({ status: 409, body: { code: 'conflict' } });
    await plane.stop(20_000);
    expect(await copies(plane.dataDir)).toEqual([]);
  });
});

/** A control plane whose backup is larger than everything that holds bytes between it and a reader who does not read. */
async function startWithMuch(): Promise<TestControlPlane> {
  const plane = await TestControlPlane.start();
  await plane.stop();
  using database = new DatabaseSync(join(plane.dataDir, 'drawbridge.db'));
  const insert = database.prepare(
    `insert into audit_checkpoints (seq, hash, at, count, signature) values (?, ?, '2020-01-01T00:00:00.000Z', 0, '')`,
  );
  database.exec('begin');
  for (let seq = -1; seq > -400; seq -= 1) insert.run(seq, randomBytes(60_000).toString('base64'));
  database.exec('commit');
  database.close();
  await plane.restart();
  return plane;
}

/** Asks for a backup, and takes no more than its first bytes. */
async function fetchBackup({ url, token }: TestControlPlane) {
  const over = new AbortController();
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(new URL('/api/v1/backups', url), { method: 'POST', headers, signal: over.signal });
  expect(response.status).toBe(200);
  expect(response.headers.get('content-disposition')).toMatch(
    /^attachment; filename="drawbridge-\d{8}T\d{6}Z\.backup"$/,
  );
  return {
    body: () => response.arrayBuffer(),
    async [Symbol.asyncDispose]() {
      over.abort();
    },
  };
}
