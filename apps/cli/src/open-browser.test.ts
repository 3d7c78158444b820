import { chmod, copyFile, readFile, writeFile } from 'node:fs/promises';
import { TempDir, eventually } from '@drawbridge/testkit';
import { afterEach, expect, it, vi } from 'vitest';
import { openBrowser } from './open-browser.ts';

const LINK = 'https://control.example.com/login?$(touch pwned)';

afterEach(() => vi.unstubAllEnvs());

/** A desktop that writes down what it is to open. */
async function desktop(dir: TempDir): Promise<void> {
  const [now, done] = [dir.join('opened.new'), dir.join('opened')];
  await writeFile(dir.join('xdg-open'), `#!/bin/sh\nprintf '%s' "$1" > ${now}\nmv ${now} ${done}\n`);
  await chmod(dir.join('xdg-open'), 0o755);
  await copyFile(dir.join('xdg-open'), dir.join('open'));
  vi.stubEnv('PATH', `${dir.path}:${process.env['PATH']}`);
}

it('hands the link to the desktop as one word', async () => {
  await using dir = await TempDir.make();
  await desktop(dir);
  expect(await openBrowser(LINK, { DISPLAY: ':0' }, 'linux')).toBe(true);
  await eventually(async () => expect(await readFile(dir.join('opened'), 'utf8')).toBe(LINK), { what: 'the browser' });
});

it.each([
  ['where nothing can be shown', LINK, {}, 'linux'],
  ['where the desktop is somewhere else', LINK, { SSH_CONNECTION: '10.0.0.1' }, 'darwin'],
  ['what is no web page', 'file:///etc/passwd', { DISPLAY: ':0' }, 'linux'],
] as const)('opens nothing %s', async (_what, link, env, platform) => {
  await using dir = await TempDir.make();
  await desktop(dir);
  expect(await openBrowser(link, env, platform)).toBe(false);
});

it('says so when there is no program to open it', async () => {
  vi.stubEnv('PATH', '/not/there');
  expect(await openBrowser(LINK, { WAYLAND_DISPLAY: 'wayland-0' }, 'linux')).toBe(false);
});
