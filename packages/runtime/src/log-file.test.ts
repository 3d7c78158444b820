import { execFileSync } from 'node:child_process';
import { chmod, mkdir, open as openFile, readFile, readdir, rmdir, stat, symlink, writeFile } from 'node:fs/promises';
import { writeSync } from 'node:fs';
import { TempDir } from '@drawbridge/testkit';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LogFile, type LogFileOptions } from './log-file.ts';

let dir: TempDir;
beforeEach(async () => {
  dir = await TempDir.make();
});
afterEach(() => dir[Symbol.asyncDispose]());

/** What a log file says about itself, and the file. */
function open(options: Partial<LogFileOptions> = {}) {
  const failures: unknown[] = [];
  const recoveries: number[] = [];
  const file = new LogFile({
    path: dir.join('a.log'),
    maxBytes: 100,
    keep: 2,
    onFailed: (error) => failures.push(error),
    onRecovered: (linesLost) => recoveries.push(linesLost),
    ...options,
  });
  return { file, failures, recoveries, [Symbol.dispose]: () => file[Symbol.dispose]() };
}

const text = (name: string) => readFile(dir.join(name), 'utf8');
const names = async () => (await readdir(dir.path)).toSorted();

describe('putting aside', () => {
  it('happens before the file grows over its limit, the newest first', async () => {
    using log = open({ maxBytes: 8 });
    for (const line of ['one\n', 'two\n', 'three\n', 'four\n', 'five\n']) log.file.write(line);
    expect(await names()).toEqual(['a.log', 'a.log.1', 'a.log.2']);
    expect([await text('a.log'), await text('a.log.1'), await text('a.log.2')]).toEqual([
      'five\n',
      'four\n',
      'three\n',
    ]);
  });

  it('fills every file as far as it goes', async () => {
    using log = open({ maxBytes: 8 });
    for (let line = 0; line < 6; line += 1) log.file.write(`${line}..\n`);
    expect([await text('a.log'), await text('a.log.1'), await text('a.log.2')]).toEqual([
      '4..\n5..\n',
      '2..\n3..\n',
      '0..\n1..\n',
    ]);
  });

  it('is for files, and leaves a pipe where it is', async () => {
    execFileSync('mkfifo', [dir.join('a.log')]);
    await using reader = await openFile(dir.join('a.log'), 'r+');
    using log = open({ maxBytes: 4 });
    for (const line of ['one\n', 'two\n']) log.file.write(line);
    expect(await names()).toEqual(['a.log']);
    expect((await reader.read()).buffer.toString('utf8', 0, 8)).toBe('one\ntwo\n');
  });

  it('counts what an earlier run wrote', async () => {
    await writeFile(dir.join('a.log'), 'before\n');
    using log = open({ maxBytes: 8 });
    log.file.write('now\n');
    expect([await text('a.log'), await text('a.log.1')]).toEqual(['now\n', 'before\n']);
  });

  it('gives a line that is too long a file of its own', async () => {
    using log = open({ maxBytes: 4 });
    for (const line of ['1\n', 'far too long\n', '2\n']) log.file.write(line);
    expect([await text('a.log'), await text('a.log.1'), await text('a.log.2')]).toEqual([
      '2\n',
      'far too long\n',
      '1\n',
    ]);
  });

  it('never happens with a limit of 0', async () => {
    using log = open({ maxBytes: 0 });
    for (let line = 0; line < 100; line += 1) log.file.write('a line of text\n');
    expect(await names()).toEqual(['a.log']);
  });

  it('keeps no old file when none is to be kept', async () => {
    using log = open({ maxBytes: 4, keep: 0 });
    for (const line of ['1\n', '2\n', '3\n']) log.file.write(line);
    expect(await names()).toEqual(['a.log']);
    expect(await text('a.log')).toBe('3\n');
  });

  it('leaves every file to its owner alone, those of a careless predecessor too', async () => {
    await writeFile(dir.join('a.log'), 'before\n', { mode: 0o644 });
    await chmod(dir.join('a.log'), 0o644);
    using log = open({ maxBytes: 8 });
    for (const line of ['1234567\n', '1234567\n']) log.file.write(line);
    const modes = await Promise.all((await names()).map(async (name) => (await stat(dir.join(name))).mode & 0o777));
    expect(modes).toEqual([0o600, 0o600, 0o600]);
  });

  it('moves the file, not a link to it', async () => {
    await mkdir(dir.join('real'));
    await symlink(dir.join('real', 'b.log'), dir.join('a.log'));
    using log = open({ maxBytes: 4 });
    for (const line of ['1\n', 'long\n']) log.file.write(line);
    expect((await readdir(dir.join('real'))).toSorted()).toEqual(['b.log', 'b.log.1']);
    expect(await text('a.log')).toBe('long\n');
  });

  it('loses no line and cuts none, whatever their lengths', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat({ max: 40 }), { maxLength: 30 }),
        fc.integer({ min: 1, max: 60 }),
        async (sizes, maxBytes) => {
          await using own = await TempDir.make();
          const lines = sizes.map((size, index) => `${index}:${'ä'.repeat(size)}\n`);
          {
            using log = open({ path: own.join('a.log'), maxBytes, keep: 30 });
            for (const line of lines) log.file.write(line);
          }
          const files = ['a.log', ...Array.from({ length: 30 }, (_, index) => `a.log.${index + 1}`)];
          const all = await Promise.all(files.map((name) => readFile(own.join(name), 'utf8').catch(() => '')));
          expect(all.toReversed().join('')).toBe(lines.join(''));
        },
      ),
      { numRuns: 30 },
    );
  });

  it('that is impossible goes on in the file that is there, and is tried again', async () => {
    using log = open({ maxBytes: 4 });
    await mkdir(dir.join('a.log.new'));
    for (const line of ['1\n', '2\n', '3\n', '4\n']) log.file.write(line);
    expect(await text('a.log')).toBe('1\n2\n3\n4\n');
    expect(log.failures).toEqual([]);
    await rmdir(dir.join('a.log.new'));
    log.file.write('5\n');
    expect([await text('a.log'), await text('a.log.1')]).toEqual(['5\n', '1\n2\n3\n4\n']);
  });
});

describe('a disk that is full', () => {
  /** Takes no more than `room` bytes until there is more. */
  function disk(room: number) {
    const state = { room };
    const write = (fd: number, bytes: Uint8Array) => {
      if (state.room === 0) throw new Error('ENOSPC: no space left on device');
      const taken = writeSync(fd, bytes.subarray(0, state.room));
      state.room -= taken;
      return taken;
    };
    return { state, write };
  }

  it('is told once, and so is its end, with how much is missing', async () => {
    const { state, write } = disk(2);
    using log = open({ write });
    for (const line of ['1\n', '2\n', '3\n']) log.file.write(line);
    expect(log.failures).toHaveLength(1);
    expect(log.recoveries).toEqual([]);
    state.room = 100;
    log.file.write('4\n');
    expect(log.recoveries).toEqual([2]);
    expect(await text('a.log')).toBe('1\n4\n');
  });

  it('glues no line to half of another', async () => {
    const { state, write } = disk(5);
    using log = open({ write });
    log.file.write('one\n');
    log.file.write('two\n');
    state.room = 100;
    log.file.write('three\n');
    expect(await text('a.log')).toBe('one\nt\nthree\n');
  });

  it('may take a line in pieces', async () => {
    using log = open({ write: (fd, bytes) => writeSync(fd, bytes.subarray(0, 3)) });
    log.file.write('a long line\n');
    expect(await text('a.log')).toBe('a long line\n');
  });
});

it('makes its directory for its owner alone', async () => {
  using log = open({ path: dir.join('logs', 'deep', 'a.log') });
  log.file.write('1\n');
  expect((await stat(dir.join('logs', 'deep'))).mode & 0o777).toBe(0o700);
});

it('that cannot be opened is a configuration that is wrong', () => {
  expect(() => open({ path: dir.path })).toThrow(
    expect.objectContaining({ code: 'invalid_request', message: expect.stringMatching(/^logging\.file: .*EISDIR/) }),
  );
});

it('drops what comes after its end', async () => {
  const log = open();
  log.file[Symbol.dispose]();
  log.file[Symbol.dispose]();
  log.file.write('late\n');
  expect(await text('a.log')).toBe('');
});
