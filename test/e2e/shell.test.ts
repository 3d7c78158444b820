import { writeFileSync } from 'node:fs';
import {
  ChaosProxy,
  TempDir,
  TestAgent,
  TestControlPlane,
  drawbridge,
  eventually,
  requires,
  streamCli,
} from '@drawbridge/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BRISK, clientOf } from './task-story.ts';
import { Tmux } from './tmux.ts';

const SIZE = { cols: 100, rows: 30 };
const WIDE = { cols: 200, rows: 40 };

describe('drawbridge shell', () => {
  const parts = new AsyncDisposableStack();
  let plane: TestControlPlane;
  let agentSide: ChaosProxy;
  let operatorSide: ChaosProxy;
  let agent: TestAgent;
  let files: TempDir;

  beforeAll(async () => {
    plane = parts.use(await TestControlPlane.start());
    agentSide = parts.use(await ChaosProxy.start({ to: plane.url }));
    operatorSide = parts.use(await ChaosProxy.start({ to: plane.url }));
    const config = { ...BRISK, sessions: { shell: '/bin/sh' } };
    agent = parts.use(await TestAgent.start({ controlPlane: plane, url: agentSide.url, config }));
    files = parts.use(await TempDir.make());
    const lines = Array.from({ length: 400 }, (_, index) => `${index + 1} ${'word '.repeat((index * 7) % 40)}`);
    writeFileSync(files.join('text'), `${lines.join('\n')}\n`);
  });
  afterAll(() => parts.disposeAsync());

  const env = () => ({ DRAWBRIDGE_URL: operatorSide.url, DRAWBRIDGE_TOKEN: plane.token });

  async function inTmux(words: readonly string[], size = SIZE): Promise<Tmux> {
    const { command, args, env: clean } = drawbridge(['shell', agent.name, ...words], { env: env() });
    return Tmux.start([command, ...args], { ...clean }, size);
  }

  it.runIf(requires('tmux', 'vi', 'less')).each([
    {
      program: ['vi', '-u', 'NONE', '-N', '-n'],
      keys: [['G'], ['4', '0', 'G'], [':set number', 'Enter'], ['/35 word', 'Enter'], ['d', 'd', 'o', 'new', 'Escape']],
    },
    { program: ['less', '-N'], keys: [['G'], ['g'], ['/123', 'Enter'], ['Space', 'Space'], ['-', 'S', 'Enter']] },
  ])('shows $program.0 as it would be here, though the links are cut before every key', async ({ program, keys }) => {
    const words = [...program, files.join('text')];
    await using here = await Tmux.start(words, { ...process.env, LESS: '', LC_ALL: 'C' }, SIZE);
    await using there = await inTmux(['--env', 'LC_ALL=C', '--', ...words]);
    let before = '';
    const same = async (what: string) => {
      const screens = await eventually(async () => [await here.screen(), await there.screen()] as const, {
        what: `the same new screen here and there after ${what}`,
        until: ([mine, its]) => mine === its && mine !== before && mine.trim() !== '',
        timeoutMs: 60_000,
      });
      before = screens[0];
    };
    await same('the start');
    for (const pressed of keys) {
      for (const side of [agentSide, operatorSide]) side.cut();
      await Promise.all([here.press(...pressed), there.press(...pressed)]);
      await same(pressed.join(' '));
    }
    for (const side of [agentSide, operatorSide]) side.cut();
    await Promise.all([here.resize(WIDE), there.resize(WIDE)]);
    await same('a resize to 200 columns');
  });

  it.runIf(requires('tmux'))('is left with ~. and gone back to, where it is as it was', async () => {
    await using first = await inTmux([]);
    await eventually(() => first.screen(), {
      what: 'the prompt',
      until: (screen) => /^[#$]/m.test(screen),
      timeoutMs: 30_000,
    });
    await first.press('x=kept; echo ready', 'Enter');
    await eventually(() => first.screen(), {
      what: 'the shell',
      until: (screen) => screen.includes('\nready'),
      timeoutMs: 30_000,
    });
    await first.press('~', '.');
    const sessions = clientOf(plane).agentSessions;
    const left = await eventually(
      async () =>
        (await sessions.list(agent.name)).find(({ state, command }) => state === 'running' && command === '/bin/sh'),
      {
        what: 'a session without anybody',
        until: ({ viewers }) => viewers === 0,
        timeoutMs: 30_000,
      },
    );
    await using again = await inTmux(['--session', left.session_id]);
    await again.press('echo $x again', 'Enter');
    await eventually(() => again.screen(), {
      what: 'what was kept',
      until: (screen) => screen.includes('kept again'),
      timeoutMs: 30_000,
    });
    expect(await sessions.end(agent.name, left.session_id)).toMatchObject({ state: 'exited' });
  });

  it('passes standard input, output and error on, and ends with the exit code', async () => {
    await using program = await streamCli(['shell', agent.name, '--', 'sh', '-c', 'cat; echo oops >&2; exit 7'], {
      env: env(),
    });
    program.write('typed\n');
    program.endInput();
    expect(await program.exited()).toMatchObject({ code: 7 });
    expect([program.stdout.text, program.stderr.text]).toEqual(['typed\n', 'oops\n']);
  });

  it.each([
    ['128 and the number of a signal', ['--', 'sh', '-c', 'kill -9 $$'], 137, ''],
    ['6 for a control plane that is away', ['--', 'true'], 6, 'cannot reach the control plane', 'http://127.0.0.1:1'],
    ['1 for what is not there', ['--', 'no-such-program'], 1, 'no-such-program is not on the PATH'],
    ['4 for a session that is not there', ['--session', '4b9f2c1e-0d37-4c58-9a55-0e1c3a3f7b10'], 4, 'session'],
    [
      '2 for a command beside a session',
      ['--session', 'x', '--', 'true'],
      2,
      '--session goes back to what runs already',
    ],
  ])('ends with %s', async (_name, words, code, message, url = operatorSide.url) => {
    const to = { ...env(), DRAWBRIDGE_URL: url };
    await using program = await streamCli(['shell', agent.name, ...words], { env: to });
    program.endInput();
    expect(await program.exited()).toMatchObject({ code });
    expect(program.stderr.text).toContain(message);
  });
});
