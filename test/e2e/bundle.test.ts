import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { createRequire, isBuiltin } from 'node:module';
import { fileURLToPath } from 'node:url';
import { isBundleCurrent } from '@drawbridge/runtime/bundle-stamp';
import {
  TempDir,
  TestAgent,
  TestControlPlane,
  endOfTask,
  memoryOf,
  outputOf,
  runCli,
  scaled,
  startTask,
} from '@drawbridge/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NOTICES_FILE, makeBundle } from '../../scripts/bundle/make-bundle.ts';
import { packagesOf } from '../../scripts/bundle/notices.ts';
import { EXTERNALS } from '../../scripts/bundle/programs.ts';
import { BRISK, Ledger, cliEnv, clientOf } from './task-story.ts';
import { dialVia } from './tunnel-story.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Outside of the checkout: what it needs it has, or it fails. */
let dir: TempDir;
let binary: string;
beforeAll(async () => {
  dir = await TempDir.make('drawbridge-bundle-');
  binary = dir.join('app/drawbridge.js');
  await makeBundle(ROOT, dir.join('app'));
});
afterAll(() => dir[Symbol.asyncDispose]());

const read = (name: string) => readFile(dir.join(`app/${name}`), 'utf8');
const filesLike = async (pattern: RegExp) => (await readdir(dir.join('app'))).filter((name) => pattern.test(name));

describe('a bundle', () => {
  it('has the licence of every package that is in it', async () => {
    const maps = await Promise.all((await filesLike(/\.map$/)).map(read));
    // Some packages name sources that they were made of and do not ship.
    const packages = packagesOf(maps.flatMap((text) => JSON.parse(text).sources as string[]))
      .map((path) => path.slice(path.indexOf('node_modules')))
      .filter((path) => existsSync(`${ROOT}${path}/package.json`));
    expect(packages.length).toBeGreaterThan(50);
    const notices = await read(NOTICES_FILE);
    const missing = await Promise.all(
      packages.map(async (path) => {
        const { name, version } = JSON.parse(await readFile(`${ROOT}${path}/package.json`, 'utf8'));
        const [, after = ''] = notices.split(`\n${name} ${version} (`);
        const [text = ''] = after.split('-'.repeat(80));
        return /copyright|licen[cs]e/i.test(text) && text.length > 500 ? [] : [path];
      }),
    );
    expect(missing.flat()).toEqual([]);
  });

  it('loads nothing but itself, Node, and what it does without', async () => {
    // Code in quotes is not loaded: ajv has some, for programs that are generated.
    const texts = await Promise.all((await filesLike(/\.c?js$/)).map(read));
    const named = texts.flatMap((text) =>
      [...text.matchAll(/(?:\bfrom|^import|;import|\bimport\(|(?<!['"`])\brequire\()\s*"([\w@][^"\s]*)"/g)].map(
        ([, name = '']) => name,
      ),
    );
    expect(named.length).toBeGreaterThan(50);
    expect([...new Set(named)].filter((name) => !isBuiltin(name) && !EXTERNALS.includes(name))).toEqual([]);
  });

  it('is current until a source changes', async () => {
    expect(await isBundleCurrent(ROOT, dir.join('app'))).toBe(true);
  });

  it('formats a log for people without any package beside it', () => {
    const { prettyFactory } = createRequire(binary)('./pino-pretty.cjs');
    expect(prettyFactory({ colorize: false })('{"level":30,"msg":"hello"}')).toContain('INFO: hello');
  });

  it('replaces the one before it, and leaves nothing of that', async () => {
    const again = dir.join('again');
    await mkdir(again);
    await writeFile(`${again}/left.js`, '');
    await makeBundle(ROOT, again);
    expect(await readdir(dir.path)).toEqual(['again', 'app']);
    expect(await readdir(again)).toEqual((await readdir(dir.join('app'))).filter((name) => !name.startsWith('.')));
  });

  it('stays as it is when a new one cannot be made', async () => {
    const before = await readdir(dir.path);
    await using noCheckout = await TempDir.make();
    await expect(makeBundle(noCheckout.path, dir.join('app'))).rejects.toThrow(/launcher\.js/);
    expect(await readdir(dir.path)).toEqual(before);
    expect(await isBundleCurrent(ROOT, dir.join('app'))).toBe(true);
  });

  it('can be run by its name, and says which version it is', async () => {
    expect((await stat(binary)).mode & 0o111).toBe(0o111);
    const { version } = JSON.parse(await read('package.json'));
    expect(await runCli(['--version'], { binary })).toMatchObject({ code: 0, stdout: `${version}\n`, stderr: '' });
  });

  it('installs itself as the service', async () => {
    const words = ['agent', 'service', 'install', '--dry-run', '--system', '--data', '/var/lib/x'];
    const { stdout } = await runCli(words, { binary });
    expect(stdout).toContain(` ${binary} agent --data /var/lib/x\n`);
    expect(stdout).not.toContain('bundle.ts');
  });
});

it('programs of a bundle stay below 150 MB each while a long output passes through them', async () => {
  await using plane = await TestControlPlane.start({ binary });
  await using agent = await TestAgent.start({ controlPlane: plane, binary });
  const kilobytes = scaled(100_000, 10_000);
  const script = `head -c ${kilobytes}000 /dev/zero | tr '\\0' x`;
  const { code, stdout } = await runCli(['run', agent.name, '--provider', 'shell', script], {
    binary,
    env: cliEnv(plane),
  });
  expect([code, stdout.length]).toEqual([0, kilobytes * 1000]);
  const peaks = [plane, agent].map(({ pid }) => memoryOf(pid).peakRssBytes);
  expect(Math.max(...peaks), `peaks of control plane and agent: ${peaks.join(', ')} bytes`).toBeLessThan(150e6);
});

it('a control plane and an agent from a bundle work as from sources, crash, and work on', async () => {
  await using ledger = await Ledger.make();
  await using plane = await TestControlPlane.start({ binary });
  await using agent = await TestAgent.start({ controlPlane: plane, binary, config: BRISK });
  const cli = (...words: string[]) => runCli(words, { binary, env: cliEnv(plane) });

  const live = await cli('run', agent.name, '--provider', 'shell', 'echo one; sleep 0.1; echo two');
  expect(live).toMatchObject({ code: 0, stdout: 'one\ntwo\n' });
  for (const path of ['/', '/page.js', '/page.css', '/openapi.json', '/docs', '/readyz']) {
    expect({ path, status: (await plane.api('GET', path)).status }).toEqual({ path, status: 200 });
  }

  expect(await cli('shell', agent.name, '--', 'sh', '-c', 'echo on pipes; exit 3')).toMatchObject({
    code: 3,
    stdout: 'on pipes\n',
  });
  const { agentSessions } = clientOf(plane);
  const { session_id: id } = await agentSessions.create(agent.name, { command: 'stty size', cols: 120, rows: 40 });
  await using terminal = await agentSessions.attach(agent.name, id, { tunnel: { dial: dialVia(plane) } });
  const shown: Uint8Array[] = [];
  for await (const { bytes } of terminal) shown.push(bytes);
  expect(Buffer.concat(shown).toString()).toBe('40 120\r\n');

  const script = [ledger.note('task'), ledger.await('end'), 'echo done'].join('\n');
  const task = await startTask(plane, { agent: agent.name, instructions: script });
  await plane.kill9();
  await plane.restart();
  ledger.go('end');
  expect(await endOfTask(plane, task.id)).toMatchObject({ state: 'succeeded' });
  expect(await outputOf(plane, task.id)).toBe('done\n');
  expect(ledger.runs('task')).toBe(1);

  await agent.kill9();
  await agent.restart();
  expect(await cli('run', agent.name, '--provider', 'shell', 'echo three')).toMatchObject({ stdout: 'three\n' });

  const file = dir.join('test.backup');
  expect(await cli('server', 'backup', file)).toMatchObject({ code: 0, stderr: '' });
  expect((await stat(file)).size).toBeGreaterThan(1_000);
});
