import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { delimiter, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { TempDir, TestControlPlane, drawbridge, requires } from '@drawbridge/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CliUser } from './cli-user.ts';

const run = promisify(execFile);
const BIN = fileURLToPath(new URL('../../bin', import.meta.url));
/** A second for the answer, and what a loaded machine takes to start a program. */
const ANSWER_MS_MAX = 6_000;

const parts = new AsyncDisposableStack();
let env: NodeJS.ProcessEnv;
let scripts: TempDir;

beforeAll(async () => {
  const plane = parts.use(await TestControlPlane.start());
  for (const [name, labels] of [
    ['build-1', { site: 'lab' }],
    ['build-2', {}],
    ['web', {}],
  ] as const) {
    await plane.api('POST', '/api/v1/agents', { name, labels });
  }
  const user = parts.use(await CliUser.make());
  await user.run(['login', plane.url, '--context', 'lab:1', '--token', '-'], { input: plane.token });
  scripts = parts.use(await TempDir.make());
  for (const shell of ['bash', 'zsh', 'fish']) {
    await writeFile(scripts.join(shell), (await user.run(['completion', shell])).stdout);
  }
  const path = [BIN, dirname(process.execPath), process.env['PATH']].join(delimiter);
  env = { ...drawbridge([], {}).env, ...user.env, PATH: path };
});
afterAll(() => parts.disposeAsync());

/** What bash has for the last of `words`, when somebody presses Tab there. */
async function bash(words: readonly string[], cwd = scripts.path): Promise<string[]> {
  const script = `
    source "$0"
    COMP_WORDS=(drawbridge "$@"); COMP_CWORD=$#
    _drawbridge
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = await run('bash', ['--norc', '-c', script, scripts.join('bash'), ...words], { env, cwd });
  expect(stderr).toBe('');
  return linesOf(stdout);
}

describe('bash', () => {
  it.each([
    [['ag'], ['agent', 'agents']],
    [
      ['agents', 'r'],
      ['rename', 'revoke'],
    ],
    [['agents', 'ls', '--st'], ['--status']],
    [['agents', 'ls', '--status', 'of'], ['offline']],
    [
      ['agents', 'show', 'bu'],
      ['build-1', 'build-2'],
    ],
    [['agents', 'show', 'no'], []],
    [
      ['context', 'use', ''],
      ['lab:1', 'local'],
    ],
    [['users', 'show', ''], ['admin']],
    [['users', 'set', 'ann', '--role', 'o'], ['operator']],
    [
      ['tokens', 'create', 'ci', '--verb', 'terminal.'],
      ['terminal.open', 'terminal.observe'],
    ],
  ])('completes %j', async (words, expected) => {
    expect(await bash(words)).toEqual(expected);
  });

  it('completes behind the colon and the equals sign at which it splits words itself', async () => {
    expect(await bash(['context', 'use', 'lab', ':'])).toEqual(['1']);
    expect(await bash(['agents', 'ls', '-l', 'site', '=', 'l'])).toEqual(['lab']);
    expect(await bash(['users', 'set', 'ann', '--role', 'operator', ':', 'si'])).toEqual(['site=lab']);
    expect(await bash(['agents', 'show', '--context', 'lab', ':', '1', 'we'])).toEqual(['web']);
  });

  it('completes files where a file is wanted', async () => {
    await using dir = await TempDir.make();
    await writeFile(dir.join('deploy now.sh'), '');
    expect(await bash(['run', 'web', '--file', 'dep'], dir.path)).toEqual(['deploy now.sh']);
  });

  it('says nothing when nobody can be asked, and does not wait', async () => {
    const startedMs = performance.now();
    const silent = { ...env, DRAWBRIDGE_URL: 'http://192.0.2.1', DRAWBRIDGE_TOKEN: 'x' };
    const args = ['__complete', '--', 'agents', 'show', ''];
    expect(await run(`${BIN}/drawbridge`, args, { env: silent })).toEqual({ stdout: '', stderr: '' });
    expect(performance.now() - startedMs).toBeLessThan(ANSWER_MS_MAX);
    const nobody = { ...env, DRAWBRIDGE_DATA: scripts.join('nothing'), DRAWBRIDGE_URL: 'no address' };
    expect(await run(`${BIN}/drawbridge`, args, { env: nobody })).toEqual({ stdout: '', stderr: '' });
  });
});

describe.runIf(requires('zsh'))('zsh', () => {
  it.each([
    [['agents', 'sh'], ['show:Shows an agent and its health.']],
    [['agents', 'show', 'w'], ['web:offline']],
    [['context', 'use', 'lab'], [expect.stringMatching(/^lab\\:1:http/)]],
    [['run', 'web', '--file', ''], ['files']],
  ])('completes %j', async (words, expected) => {
    // Stands in for zsh's own lists, which need a terminal.
    const script = `
      compdef() { :; }
      _files() { print files; }
      _describe() { print -rl -- "\${(@P)2}"; }
      source "$0"
      words=(drawbridge "$@"); CURRENT=$#words
      _drawbridge`;
    const { stdout, stderr } = await run('zsh', ['-f', '-c', script, scripts.join('zsh'), ...words], { env });
    expect({ stderr, lines: linesOf(stdout) }).toEqual({ stderr: '', lines: expected });
  });

  it('is taught by a file in $fpath too', async () => {
    await using dir = await TempDir.make();
    await writeFile(dir.join('_drawbridge'), (await run('cat', [scripts.join('zsh')])).stdout);
    const script = `
      fpath=("$0" $fpath); autoload -Uz compinit; compinit -D -u
      print -- $_comps[drawbridge]`;
    const { stdout } = await run('zsh', ['-f', '-c', script, dir.path], { env });
    expect(stdout).toBe('_drawbridge\n');
  });
});

describe.runIf(requires('fish'))('fish', () => {
  it.each([
    ['agents sh', ['show\tShows an agent and its health.']],
    ['agents show w', ['web\toffline']],
    ['agents ls --status ', ['offline', 'online']],
    ['context use lab', [expect.stringMatching(/^lab:1\thttp/)]],
  ])('completes "%s"', async (line, expected) => {
    await using home = await TempDir.make();
    const script = `source ${scripts.join('fish')}; complete -C "drawbridge ${line}"`;
    const { stdout } = await run('fish', ['--no-config', '-c', script], { env: { ...env, HOME: home.path } });
    expect(linesOf(stdout).toSorted()).toEqual(expected);
  });

  it('completes files where a file is wanted', async () => {
    await using home = await TempDir.make();
    await writeFile(home.join('deploy.sh'), '');
    const script = `source ${scripts.join('fish')}; cd ${home.path}; complete -C "drawbridge run web --file dep"`;
    const { stdout } = await run('fish', ['--no-config', '-c', script], { env: { ...env, HOME: home.path } });
    expect(linesOf(stdout)).toEqual(['deploy.sh']);
  });
});

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}
