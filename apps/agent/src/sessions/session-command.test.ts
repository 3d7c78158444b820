import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { NewSession } from '@drawbridge/protocol';
import { TempDir } from '@drawbridge/testkit';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { z } from 'zod';
import { resolveCommand } from './session-command.ts';
import type { CommandContext, ResolvedCommand } from './session-command.ts';

const SESSION_ID = '11111111-1111-4111-8111-111111111111';

/** A machine with programs in `bin`, and a `home`. */
let dir: TempDir;
beforeEach(async () => {
  dir = await TempDir.make();
  await mkdir(dir.join('home', 'project'), { recursive: true });
  await writeFile(dir.join('home', 'file'), '');
  await program('bash', 'zsh', 'sh', 'nu', 'make');
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await dir[Symbol.asyncDispose]();
});

async function program(...names: readonly string[]): Promise<void> {
  await mkdir(dir.join('bin'), { recursive: true });
  for (const name of names) await writeFile(dir.join('bin', name), '#!/bin/sh\n', { mode: 0o700 });
}

const bin = (name: string) => dir.join('bin', name);

/** `env`: what the machine has beside its PATH and HOME. */
function resolve(
  spec: z.input<typeof NewSession>,
  { env = {}, ...more }: Partial<CommandContext> = {},
): Promise<ResolvedCommand> {
  const machine = { PATH: dir.join('bin'), HOME: dir.join('home'), ...env };
  return resolveCommand(NewSession.parse(spec), { sessionId: SESSION_ID, shell: 'auto', ...more, env: machine });
}

describe('the shell', () => {
  it("is the user's own, with its profile", async () => {
    const command = await resolve({}, { env: { SHELL: bin('zsh') } });
    expect([command.argv, command.text]).toEqual([[bin('zsh'), '-l'], bin('zsh')]);
  });

  it.each([
    ['the user has none', ''],
    ["the user's is not there", '/nowhere/fish'],
  ])('is the first that is there when %s', async (_when, SHELL) => {
    expect((await resolve({}, { env: { SHELL } })).argv).toEqual([bin('bash'), '-l']);
    await chmod(bin('bash'), 0o600);
    expect((await resolve({}, { env: { SHELL } })).argv).toEqual([bin('zsh'), '-l']);
    await chmod(bin('zsh'), 0o600);
    expect((await resolve({}, { env: { SHELL } })).argv).toEqual([bin('sh'), '-l']);
    await chmod(bin('sh'), 0o600);
    await expect(resolve({}, { env: { SHELL } })).rejects.toMatchObject({
      code: 'spawn_failed',
      message: `no shell is there: none of ${SHELL === '' ? '' : `${SHELL}, `}bash, zsh, sh`,
    });
  });

  it('is the one that the settings name, by name or path', async () => {
    const env = { SHELL: bin('bash') };
    expect((await resolve({}, { shell: 'zsh', env })).argv[0]).toBe(bin('zsh'));
    expect((await resolve({}, { shell: bin('zsh'), env })).argv[0]).toBe(bin('zsh'));
    await expect(resolve({}, { shell: 'tcsh', env })).rejects.toMatchObject({
      code: 'spawn_failed',
      message: 'tcsh is not on the PATH',
    });
  });

  it('reads no profile where it has no terminal, or would not know how', async () => {
    expect((await resolve({ mode: 'pipe' }, { shell: 'bash' })).argv).toEqual([bin('bash')]);
    expect((await resolve({}, { shell: 'nu' })).argv).toEqual([bin('nu')]);
  });

  it.each(['pty', 'pipe'] as const)('gets a line to carry out, without its profile (%s)', async (mode) => {
    const command = await resolve({ mode, command: 'make && make "$X"' }, { shell: 'bash' });
    expect(command.argv).toEqual([bin('bash'), '-c', 'make && make "$X"']);
    expect(command.text).toBe('make && make "$X"');
  });
});

describe('a program', () => {
  it('is found on the PATH of the session, and gets its arguments as they are', async () => {
    const command = await resolve({ command: ['make', '-l', '$HOME', ''] }, { shell: '/nowhere/shell' });
    expect(command.argv).toEqual([bin('make'), '-l', '$HOME', '']);
    const elsewhere = { command: ['make'], env: { PATH: dir.join('home') } } as const;
    await expect(resolve({ ...elsewhere, command: [...elsewhere.command] })).rejects.toMatchObject({
      code: 'spawn_failed',
    });
  });

  it.each([['nothing-like-it'], ['./make'], ['/nowhere/make']])('that is not there fails: %s', async (name) => {
    const failed = resolve({ command: [name] });
    await expect(failed).rejects.toMatchObject({ code: 'spawn_failed', message: expect.stringContaining(name) });
  });

  it.each<[[string, ...string[]], string]>([
    [['make', '-j4', 'CC=gcc', '/a/b:c,d@e+f%'], 'make -j4 CC=gcc /a/b:c,d@e+f%'],
    [['make', 'two words', '$X', ''], "make 'two words' '$X' ''"],
    [['make', "it's 'here"], "make 'it'\\''s '\\''here'"],
    [['make', 'a\nb', '*', ';'], "make 'a\nb' '*' ';'"],
  ])('is shown as it would be typed: %j', async (command, text) => {
    expect((await resolve({ command })).text).toBe(text);
  });

  it('is shown with 256 characters at most, and gets all of them', async () => {
    const line = 'x'.repeat(257);
    const asLine = await resolve({ command: line }, { shell: 'bash' });
    expect([asLine.text, asLine.argv[2]]).toEqual([`${'x'.repeat(255)}…`, line]);
    const whole = 'x'.repeat(256);
    expect((await resolve({ command: whole })).text).toBe(whole);
    const asList = await resolve({ command: ['make', line] });
    expect([asList.text.length, asList.text.at(-1), asList.argv[1]]).toEqual([256, '…', line]);
  });
});

describe('the directory', () => {
  it.each([
    [undefined, 'home'],
    ['~', 'home'],
    ['~/project', 'home/project'],
  ])('given as %s is %s', async (cwd, expected) => {
    expect((await resolve({ ...(cwd !== undefined && { cwd }) })).cwd).toBe(dir.join(expected));
  });

  it('is an absolute path as it is', async () => {
    expect((await resolve({ cwd: dir.join('bin') })).cwd).toBe(dir.join('bin'));
  });

  it("is the system's home where the environment names none", async () => {
    vi.stubEnv('HOME', dir.join('home'));
    const context = { sessionId: SESSION_ID, shell: 'auto', env: { PATH: dir.join('bin') } };
    expect((await resolveCommand(NewSession.parse({}), context)).cwd).toBe(dir.join('home'));
  });

  it.each([
    ['project', 'cwd: project is not an absolute path'],
    ['./project', 'cwd: ./project is not an absolute path'],
    ['~ann', 'cwd: ~ann is not an absolute path'],
    ['~/nowhere', 'cwd: there is no '],
    ['/nowhere/at/all', 'cwd: there is no /nowhere/at/all'],
    ['~/file', 'home/file is no directory'],
  ])('is refused when it is %s', async (cwd, message) => {
    const refused = resolve({ cwd });
    await expect(refused).rejects.toMatchObject({ code: 'invalid_request', message: expect.stringContaining(message) });
  });
});

describe('the environment', () => {
  it('is that of the machine and, above it, of the request, and says which session it is', async () => {
    const env = { LANG: 'C', TZ: 'UTC', DRAWBRIDGE_SESSION_ID: 'outer' };
    const spec = { mode: 'pipe', env: { LANG: 'de_CH', X: '', DRAWBRIDGE_SESSION_ID: 'mine' } } as const;
    expect((await resolve(spec, { env })).env).toEqual({
      PATH: dir.join('bin'),
      HOME: dir.join('home'),
      LANG: 'de_CH',
      TZ: 'UTC',
      X: '',
      DRAWBRIDGE_SESSION_ID: SESSION_ID,
    });
  });

  it('names a terminal only where there is one, and the one that was asked for first', async () => {
    const env = { TERM: 'dumb' };
    expect((await resolve({ mode: 'pipe' })).env).not.toHaveProperty('TERM');
    expect((await resolve({ mode: 'pty' }, { env })).env['TERM']).toBe('xterm-256color');
    expect((await resolve({ mode: 'pty', env: { TERM: 'vt100' } }, { env })).env['TERM']).toBe('vt100');
  });
});
