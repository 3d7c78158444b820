import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, realpath, symlink, writeFile } from 'node:fs/promises';
import { type as osType } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  drawbridge,
  eventually,
  isAlive,
  processesUsing,
  requires,
  runCli,
  scaled,
  streamCli,
  TempDir,
  TestProcess,
} from '@drawbridge/testkit';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const UP_TIMEOUT_MS = 60_000;
const INSTALL_TIMEOUT_MS = 300_000;
const Agents = z.object({ items: z.array(z.object({ name: z.string(), status: z.string() })) });

describe.runIf(requires('git'))('a fresh clone', () => {
  it(
    'runs a script with nothing but an older Node and npm, and ends with its exit code',
    async () => {
      await using clone = await TempDir.make('drawbridge-clone-');
      await copySources(clone);
      if (scaled(10) < 5) await linkPackages(clone);
      const env = { ...drawbridge([], {}).env, PATH: bareSearchPath() };
      const args = ['start', '--', '--once', 'uname -a; exit 3'];
      await using start = await TestProcess.start({ command: 'npm', args, cwd: clone.path, env });
      const { code } = await start.exited(INSTALL_TIMEOUT_MS);
      expect({ code, stderr: start.stderr.text }).toMatchObject({ code: 3 });
      expect(start.stdout.text).toMatch(new RegExp(`^${osType()} .+$`, 'm'));
      expect(start.stderr.text).toMatch(/^task \S+ failed · exit 3 · /m);
      expect(start.stderr.text).not.toMatch(/warn|deprecated/i);
      expect(processesUsing(clone.path)).toEqual([]);
      const made = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { cwd: ROOT, encoding: 'utf8' });
      const unknown = (await readdir(clone.path)).filter((name) => !made.includes(name));
      expect(unknown.toSorted()).toEqual(['.drawbridge', 'node_modules']);
    },
    INSTALL_TIMEOUT_MS,
  );
});

describe('drawbridge up', () => {
  it('prints a link that signs one browser in, once, and takes orders from its own page only', async () => {
    await using data = await TempDir.make();
    await using up = await start(data);
    const link = new URL(await signInLink(up));
    const call = (method: string, path: string, headers: Record<string, string>, body?: unknown) =>
      fetch(new URL(path, link), {
        method,
        headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    const page = await call('GET', link.pathname, {});
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);

    const code = { code: link.hash.slice(1) };
    const signedIn = await call('POST', '/api/v1/sign-in', {}, code);
    expect([signedIn.status, await signedIn.json()]).toEqual([200, { state: 'signed_in' }]);
    const [setCookie = ''] = signedIn.headers.getSetCookie();
    expect(setCookie).toMatch(/; HttpOnly(;|$)/);
    expect(setCookie).toMatch(/; SameSite=Strict(;|$)/);
    expect((await call('POST', '/api/v1/sign-in', {}, code)).status, 'the second use').toBe(401);

    const cookie = setCookie.split(';', 1)[0] ?? '';
    expect((await call('GET', '/api/v1/agents', {})).status).toBe(401);
    const agents = Agents.parse(await (await call('GET', '/api/v1/agents', { cookie })).json());
    expect(agents.items).toEqual([{ name: 'local', status: 'online' }]);
    const orders = async (headers: Record<string, string>) =>
      (await call('POST', '/api/v1/join-tokens', { cookie, ...headers }, {})).status;
    expect(await orders({ origin: 'https://elsewhere.example' })).toBe(403);
    expect(await orders({ origin: 'null' })).toBe(403);
    expect(await orders({})).toBe(403);
    expect(await orders({ origin: link.origin })).toBe(201);
  });

  it('lets what runs finish on Ctrl-C, exits with 0 and leaves no process', async () => {
    await using data = await TempDir.make();
    await using marks = await TempDir.make();
    await using up = await start(data);
    await signInLink(up);
    const script = `touch ${marks.join('begun')}; until [ -e ${marks.join('go')} ]; do sleep 0.05; done; touch ${marks.join('done')}`;
    const run = ['run', 'local', '-p', 'shell', '--detach', script];
    expect(await runCli(run, { env: { DRAWBRIDGE_DATA: data.path } })).toMatchObject({ code: 0 });
    await eventually(() => existsSync(marks.join('begun')), { what: 'the task to run' });
    up.signal('SIGINT');
    await up.waitFor(() => /^stopping/m.exec(up.stderr.text) ?? undefined, { what: 'the goodbye', timeoutMs: 30_000 });
    await writeFile(marks.join('go'), '');
    expect(await up.exited()).toEqual({ code: 0, signal: null });
    expect(existsSync(marks.join('done'))).toBe(true);
    expect(processesUsing(data.path)).toEqual([]);
  });

  it('leaves no process when it is killed, and starts again on the same data', async () => {
    await using data = await TempDir.make();
    await using up = await start(data);
    await signInLink(up);
    const children = processesUsing(data.path).filter((pid) => pid !== up.pid);
    expect(children.length).toBeGreaterThanOrEqual(2); // The control plane and the agent.
    await up.kill9();
    await eventually(() => !children.some(isAlive), { what: 'its programs to stop', timeoutMs: 20_000 });
    await using again = await start(data);
    await signInLink(again);
    const ls = await runCli(['agents', 'ls', '--json'], { env: { DRAWBRIDGE_DATA: data.path } });
    expect(JSON.parse(ls.stdout)).toMatchObject({ name: 'local', status: 'online' });
  });

  it('is used by a second one on the same data, which does not start its own', async () => {
    await using data = await TempDir.make();
    await using up = await start(data);
    await signInLink(up);
    const args = ['up', '--data', data.path];
    expect(await runCli([...args, '--once', 'echo mine; exit 4'])).toMatchObject({ code: 4, stdout: 'mine\n' });
    const second = await runCli(args);
    expect(second).toMatchObject({ code: 2, stdout: '' });
    expect(second.stderr).toContain(`already running at http://127.0.0.1`);
    expect(up.status).toBe(undefined);
  });
});

function start(data: TempDir): Promise<TestProcess> {
  return streamCli(['up', '--data', data.path, '--port', '0']);
}

function signInLink(up: TestProcess): Promise<string> {
  const look = () => /Sign in.*?(http\S+)/.exec(up.stdout.text)?.[1];
  return up.waitFor(look, { what: 'the sign-in link', timeoutMs: UP_TIMEOUT_MS });
}

/** What a commit of the working tree would give to whoever clones it. */
async function copySources(clone: TempDir): Promise<void> {
  const list = execFileSync('git', ['ls-files', '-coz', '--exclude-standard'], { cwd: ROOT, encoding: 'utf8' });
  for (const path of list.split('\0').filter((name) => name !== '' && existsSync(join(ROOT, name)))) {
    await mkdir(dirname(clone.join(path)), { recursive: true });
    await copyFile(join(ROOT, path), clone.join(path));
  }
}

/** Spares a short run the download: everybody else's packages are ours, its own are the clone's. */
async function linkPackages(clone: TempDir): Promise<void> {
  const [ours, theirs] = [join(ROOT, 'node_modules'), clone.join('node_modules')];
  await mkdir(join(theirs, '@drawbridge'), { recursive: true });
  for (const name of await readdir(ours)) {
    if (name !== '@drawbridge' && name !== '.drawbridge-lock') await symlink(join(ours, name), join(theirs, name));
  }
  for (const name of await readdir(join(ours, '@drawbridge'))) {
    const target = await realpath(join(ours, '@drawbridge', name));
    await symlink(clone.join(target.slice(ROOT.length)), join(theirs, '@drawbridge', name));
  }
  const lock = await readFile(clone.join('package-lock.json'));
  await writeFile(join(theirs, '.drawbridge-lock'), createHash('sha256').update(lock).digest('hex'));
}

/** The search path without what a checkout brings: npm scripts then meet the machine's own Node, if it has one. */
function bareSearchPath(): string {
  const dirs = (process.env['PATH'] ?? '').split(delimiter).filter((dir) => !dir.includes('node_modules'));
  const hasNode = dirs.some((dir) => existsSync(join(dir, 'node')) && existsSync(join(dir, 'npm')));
  return (hasNode ? dirs : [...dirs, dirname(process.execPath)]).join(delimiter);
}
