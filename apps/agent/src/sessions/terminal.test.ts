import { FakeClock, eventually, isAlive, settle } from '@drawbridge/testkit';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { SessionProcess } from './session-process.ts';
import { dead, ProcessFixture, WAIT } from './process-fixture.ts';

const MIB = 1024 * 1024;
/** No echo, no translation, no line editing: bytes as they are. */
const RAW = 'stty raw -echo';

let processes: ProcessFixture;
beforeEach(async () => {
  processes = await ProcessFixture.make();
});
afterEach(() => processes[Symbol.asyncDispose]());

it('is a terminal, of one stream, and tells the exit code', async () => {
  const { exited } = await processes.terminal('[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo out; echo err >&2; exit 7');
  expect(await exited).toEqual({ code: 7, signal: undefined });
  expect([processes.stdout, processes.stderr]).toEqual(['out\r\nerr\r\n', '']);
});

it('starts where and with what it is told', async () => {
  const env = { X: 'y', TERM: 'vt100', PATH: '/usr/bin:/bin' };
  const { exited } = await processes.terminal('pwd; echo "$X $TERM ${HOME-none}"', { env });
  await exited;
  expect(processes.stdout).toBe(`${processes.dir.path}\r\ny vt100 none\r\n`);
});

it('gives the program what is typed, and shows it', async () => {
  const session = await processes.terminal('read line; echo "got $line"');
  await session.write(Buffer.from('hello\r'));
  await session.exited;
  expect(processes.stdout).toBe('hello\r\ngot hello\r\n');
});

it('has no end of input of its own, but the one that is typed', async () => {
  const session = await processes.terminal('cat; echo over');
  session.endInput();
  await session.write(Buffer.from('one\r'));
  await processes.until('one', 2);
  await session.write(Buffer.of(4));
  expect(await session.exited).toMatchObject({ code: 0 });
  expect(processes.stdout).toContain('over');
});

it('has the size it was started with, and then the one it is given', async () => {
  const session = await processes.terminal(
    `trap 'stty size' WINCH; stty size; while [ ! -e go ]; do sleep 0.01; done`,
    {
      cols: 101,
      rows: 31,
    },
  );
  await processes.until('31 101');
  session.resize({ cols: 120, rows: 40 });
  await processes.until('40 120');
  await processes.letGo();
  await session.exited;
  session.resize({ cols: 10, rows: 10 });
});

/** A program that is past its beginning, and does nothing by itself. */
async function running(): Promise<SessionProcess> {
  const session = await processes.terminal('', { argv: ['/bin/cat'] });
  await session.write(Buffer.from('ready\r'));
  await processes.until('ready', 2);
  return session;
}

it('interrupts the program in front of an interactive shell, and not the shell', async () => {
  const session = await processes.terminal('', {
    argv: ['/bin/sh', '-i'],
    env: { PATH: '/usr/bin:/bin', PS1: 'prompt> ' },
  });
  await session.write(Buffer.from('cat\r'));
  await session.write(Buffer.from('in front\r'));
  // Once as it is typed, once by the program.
  await processes.until('in front', 2);
  session.signal('SIGINT');
  await processes.until('prompt> ', 2);
  await session.write(Buffer.from('echo "status $?"\r'));
  await processes.until('status 130\r\n');
  await session.write(Buffer.from('exit 3\r'));
  expect(await session.exited).toEqual({ code: 3, signal: undefined });
});

it('interrupts with a key, too', async () => {
  const session = await running();
  await session.write(Buffer.of(3));
  expect(await session.exited).toEqual({ code: undefined, signal: 'SIGINT' });
});

it.each(['SIGINT', 'SIGTERM', 'SIGKILL', 'SIGQUIT', 'SIGHUP'] as const)('ends by %s', async (name) => {
  const session = await running();
  session.signal(name);
  expect(await session.exited).toEqual({ code: undefined, signal: name });
  session.signal(name);
});

it('makes who types wait while nobody reads', async () => {
  const session = await processes.terminal(`${RAW}; printf ready; ${WAIT}; head -c ${MIB} | wc -c`);
  await processes.until('ready');
  const written = vi.fn<() => void>();
  const writing = session.write(new Uint8Array(MIB)).then(written);
  await settle();
  expect(written).not.toHaveBeenCalled();
  await processes.letGo();
  await writing;
  await session.exited;
  expect(processes.stdout.slice('ready'.length).trim()).toBe(String(MIB));
});

it('lets who types go on when the program has ended', async () => {
  const session = await processes.terminal(`${RAW}; printf ready; ${WAIT}`);
  await processes.until('ready');
  const writing = session.write(new Uint8Array(MIB));
  await processes.letGo();
  await session.exited;
  await writing;
  await session.write(Buffer.of(1));
});

it('has told all that was printed just before the exit', async () => {
  const { exited } = await processes.terminal(`${RAW}; head -c ${MIB} /dev/zero; printf end`);
  await exited;
  expect(processes.stdout).toHaveLength(MIB + 3);
  expect(processes.stdout.endsWith('end')).toBe(true);
});

it('holds the output back while it is paused', async () => {
  const session = await processes.terminal(`${RAW}; ${WAIT}; printf first; : >printed; head -c ${MIB} /dev/zero`);
  session.pause();
  await processes.letGo();
  await processes.made('printed');
  expect(processes.stdout).toBe('');
  session.resume();
  await session.exited;
  expect(processes.stdout).toHaveLength(MIB + 'first'.length);
});

it('tells all, too, when it is paused at the time of the exit, and leaves no timer', async () => {
  const clock = new FakeClock();
  const session = await processes.terminal(`${RAW}; ${WAIT}; printf printed`, { clock });
  session.pause();
  await processes.letGo();
  await dead(session);
  expect(await session.exited).toEqual({ code: 0, signal: undefined });
  expect(processes.stdout).toBe('printed');
  await eventually(() => clock.pending === 0, { what: 'the wait for silence to end' });
});

it('tells all, too, when it is held back again while the rest arrives', async () => {
  const session = await processes.terminal(`${RAW}; ${WAIT}; head -c 12000 /dev/zero`);
  session.pause();
  processes.onOutput = () => session.pause();
  await processes.letGo();
  await dead(session);
  await session.exited;
  expect(processes.stdout).toHaveLength(12_000);
});

it('does not wait for a child in the background that keeps the terminal', async () => {
  const session = await processes.terminal("trap '' HUP; sleep 100 & echo $! done");
  expect(await session.exited).toEqual({ code: 0, signal: undefined });
  const [child] = processes.stdout.split(' ');
  expect(isAlive(Number(child))).toBe(true);
});

it('does not wait for one that goes on printing either', async () => {
  const clock = new FakeClock();
  const script = "trap '' HUP; (while :; do echo more; sleep 0.01; done) & echo done";
  const session = await processes.terminal(script, { clock });
  const exited = vi.fn<(exit: unknown) => void>();
  void session.exited.then(exited);
  await eventually(() => clock.pending > 0, { what: 'the exit' });
  for (let steps = 0; steps < 50 && exited.mock.calls.length === 0; steps += 1) {
    const { length } = processes.stdout;
    await eventually(() => processes.stdout.length > length || exited.mock.calls.length > 0, { what: 'more output' });
    await clock.advance(99);
  }
  try {
    expect(exited).toHaveBeenCalledExactlyOnceWith({ code: 0, signal: undefined });
  } finally {
    session.signal('SIGKILL');
  }
});

it('reads an ended terminal until it has been silent for a while', async () => {
  const clock = new FakeClock();
  const session = await processes.terminal(`trap '' HUP; (${WAIT}; echo late; sleep 100) & echo done`, { clock });
  await eventually(() => clock.pending > 0, { what: 'the wait for silence' });
  await clock.advance(99);
  await processes.letGo();
  await processes.until('late');
  await clock.advance(99);
  // The silence, and the limit of it all.
  expect(clock.pending).toBe(2);
  await clock.advance(1);
  expect(await session.exited).toEqual({ code: 0, signal: undefined });
  expect(clock.pending).toBe(0);
});
