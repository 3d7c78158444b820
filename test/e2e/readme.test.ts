import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { delimiter, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { TempDir, TestAgent, TestControlPlane } from '@drawbridge/testkit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { blocksOf } from '../markdown.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const runnable = blocksOf(readFileSync(`${ROOT}README.md`, 'utf8'))
  .filter(({ note }) => note === 'run')
  .map(({ text }) => ({ text: text.trim(), first: text.split('\n', 1)[0] }));

const parts = new AsyncDisposableStack();
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  const controlPlane = parts.use(await TestControlPlane.start());
  parts.use(await TestAgent.start({ controlPlane, name: 'build-1' }));
  const home = parts.use(await TempDir.make());
  env = {
    PATH: [`${ROOT}bin`, dirname(process.execPath), process.env['PATH']].join(delimiter),
    HOME: home.path,
    DRAWBRIDGE_URL: controlPlane.url,
    DRAWBRIDGE_TOKEN: controlPlane.token,
  };
});
afterAll(() => parts.disposeAsync());

it('marks what can be run', () => {
  expect(runnable.length).toBeGreaterThanOrEqual(4);
});

it.each(runnable)('runs "$first" and what follows it', async ({ text }) => {
  const { stdout } = await run('/bin/sh', ['-e', '-c', text], { env, cwd: ROOT });
  expect(stdout).not.toBe('');
});

it('runs a script on every machine that is online, and counts where it failed', async () => {
  const { stdout } = await run(`${ROOT}examples/run-everywhere.sh`, ['echo here'], { env });
  expect(stdout).toBe('== build-1\nhere\n');
  await expect(run(`${ROOT}examples/run-everywhere.sh`, ['exit 7'], { env })).rejects.toMatchObject({ code: 1 });
});
