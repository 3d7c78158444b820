import { FakeClock, settle } from '@drawbridge/testkit';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { dead, ProcessFixture, WAIT } from './process-fixture.ts';

const MIB = 1024 * 1024;

let processes: ProcessFixture;
beforeEach(async () => {
  processes = await ProcessFixture.make();
});
afterEach(() => processes[Symbol.asyncDispose]());

it('tells both streams apart, and the exit code', async () => {
  const { exited } = await processes.piped('echo out; echo err >&2; echo again >/dev/stderr; exit 7');
  expect(await exited).toEqual({ code: 7, signal: undefined });
  expect([processes.stdout, processes.stderr]).toEqual(['out\n', 'err\nagain\n']);
});

it('starts where and with what it is told, and nothing else', async () => {
  const { exited } = await processes.piped('pwd; /usr/bin/env', { env: { X: 'y', PATH: '/usr/bin:/bin' } });
  await exited;
  const [cwd, ...env] = processes.stdout.trim().split('\n');
  expect(cwd).toBe(processes.dir.path);
  // The shell adds these itself.
  expect(env.filter((line) => !/^(PWD|OLDPWD|SHLVL|_)=/.test(line)).sort()).toEqual(['PATH=/usr/bin:/bin', 'X=y']);
});

it('takes input until it is told that no more comes', async () => {
  const session = await processes.piped('cat; echo over');
  await session.write(Buffer.from('one '));
  await processes.until('one ');
  await session.write(Buffer.from('two\n'));
  session.endInput();
  expect(await session.exited).toEqual({ code: 0, signal: undefined });
  expect(processes.stdout).toBe('one two\nover\n');
});

it('makes who types wait while nobody reads', async () => {
  const session = await processes.piped(`${WAIT}; wc -c`);
  const written = vi.fn<() => void>();
  const writing = session.write(new Uint8Array(MIB)).then(written);
  await settle();
  expect(written).not.toHaveBeenCalled();
  await processes.letGo();
  await writing;
  session.endInput();
  await session.exited;
  expect(processes.stdout.trim()).toBe(String(MIB));
});

it('lets who types go on when the program reads no more', async () => {
  const session = await processes.piped(`exec <&-; echo closed; ${WAIT}; echo still there`);
  await processes.until('closed');
  await session.write(new Uint8Array(MIB));
  await session.write(new Uint8Array(MIB));
  await processes.letGo();
  expect(await session.exited).toEqual({ code: 0, signal: undefined });
  await session.write(Buffer.of(1));
  expect(processes.stdout).toContain('still there');
});

it.each(['SIGINT', 'SIGTERM', 'SIGKILL', 'SIGQUIT', 'SIGHUP'] as const)(
  'ends by %s, with all it has started',
  async (name) => {
    const session = await processes.piped('cat; echo not this');
    await session.write(Buffer.from('ready'));
    await processes.until('ready');
    session.signal(name);
    expect(await session.exited).toEqual({ code: undefined, signal: name });
    session.signal(name);
  },
);

it('has told all that was printed just before the exit', async () => {
  const { exited } = await processes.piped(`head -c ${MIB} /dev/zero; head -c ${MIB} /dev/zero >&2; printf end`);
  await exited;
  expect([processes.stdout.length, processes.stderr.length]).toEqual([MIB + 3, MIB]);
});

it('holds the output back while it is paused', async () => {
  const session = await processes.piped(`${WAIT}; printf first; : >printed; head -c ${MIB} /dev/zero`);
  session.pause();
  await processes.letGo();
  await processes.made('printed');
  expect(processes.stdout).toBe('');
  session.resume();
  await session.exited;
  expect(processes.stdout).toHaveLength(MIB + 'first'.length);
});

it('tells all, too, when it is paused at the time of the exit', async () => {
  const session = await processes.piped(`${WAIT}; head -c 60000 /dev/zero; printf err >&2`);
  session.pause();
  await processes.letGo();
  await dead(session);
  expect(await session.exited).toEqual({ code: 0, signal: undefined });
  expect([processes.stdout.length, processes.stderr]).toEqual([60_000, 'err']);
});

it('tells all, too, when it is held back again while the rest arrives', async () => {
  const session = await processes.piped(`${WAIT}; head -c 60000 /dev/zero; head -c 60000 /dev/zero >&2`);
  session.pause();
  processes.onOutput = () => session.pause();
  await processes.letGo();
  await dead(session);
  await session.exited;
  expect([processes.stdout.length, processes.stderr.length]).toEqual([60_000, 60_000]);
});

it('does not wait for a child in the background that keeps the pipes', async () => {
  const clock = new FakeClock();
  const session = await processes.piped('sleep 100 & echo done', { clock });
  await processes.until('done');
  const exited = vi.fn<(exit: unknown) => void>();
  void session.exited.then(exited);
  await dead(session);
  await vi.waitUntil(() => clock.pending > 0);
  expect(exited).not.toHaveBeenCalled();
  await clock.advance(1000);
  expect(await session.exited).toEqual({ code: 0, signal: undefined });
  expect(clock.pending).toBe(0);
});

it('leaves no timer', async () => {
  const clock = new FakeClock();
  await (
    await processes.piped('echo quick', { clock })
  ).exited;
  expect(clock.pending).toBe(0);
});

it('says so when it cannot start', async () => {
  const nothing = { argv: ['/nowhere/program'] } as const;
  await expect(processes.piped('', nothing)).rejects.toMatchObject({
    code: 'spawn_failed',
    message: expect.stringContaining('/nowhere/program'),
  });
  await expect(processes.piped('', { cwd: '/nowhere' })).rejects.toMatchObject({ code: 'spawn_failed' });
});
