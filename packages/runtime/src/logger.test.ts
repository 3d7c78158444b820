import { TempDir } from '@drawbridge/testkit';
import { readFile, readdir, stat } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { Secret } from './secret.ts';
import { type LogSink, createLogger } from './logger.ts';

/** Keeps what is written. */
function listeningSink(isTTY = false): LogSink & { readonly lines: string[] } {
  const lines: string[] = [];
  return { isTTY, lines, write: (text) => lines.push(text) };
}

it('writes one line of JSON per fact, with time and level as words', () => {
  const sink = listeningSink();
  createLogger({ level: 'info', sink }).info({ agentId: 'a1' }, 'link lost');
  const line: unknown = JSON.parse(sink.lines.join(''));
  expect(line).toEqual({
    level: 'info',
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    agentId: 'a1',
    msg: 'link lost',
  });
});

it('keeps quiet below its level', () => {
  const sink = listeningSink();
  const log = createLogger({ level: 'warn', sink });
  log.info('not this');
  log.warn('this');
  expect(sink.lines).toHaveLength(1);
});

it('never writes a secret, wherever it hides', () => {
  const sink = listeningSink();
  const log = createLogger({ level: 'info', sink }).child({ url: 'http://me:hunter2@proxy' });
  log.info({ deep: [{ headers: { authorization: 'Custom hunter2' } }], secret: new Secret('hunter2') }, 'x');
  log.error({ err: new Error('refused dbt_hunter2', { cause: new Error('dbk_hunter2') }) }, 'Bearer hunter2');
  expect(sink.lines).toHaveLength(2);
  expect(sink.lines.join('')).not.toContain('hunter2');
  for (const line of sink.lines) expect(() => void JSON.parse(line)).not.toThrow();
});

it('writes for people on a terminal', () => {
  const sink = listeningSink(true);
  createLogger({ level: 'info', sink }).info({ token: 'hunter2' }, 'link lost');
  const text = sink.lines.join('');
  expect(text).toContain('link lost');
  expect(text).not.toMatch(/^\{/);
  expect(text).not.toContain('hunter2');
});

it('writes every line to a file of its owner as well, JSON even on a terminal', async () => {
  await using dir = await TempDir.make();
  const file = dir.join('logs', 'agent.log');
  {
    using log = createLogger({ level: 'info', file, sink: listeningSink(true) });
    log.info('one dbt_hunter2');
    log.info('two');
  }
  const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
  expect(lines.map((line): unknown => JSON.parse(line))).toMatchObject([{ msg: 'one dbt_[redacted]' }, { msg: 'two' }]);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
});

it('goes on without a file that it cannot write to', async () => {
  const sink = listeningSink();
  using log = createLogger({ level: 'info', file: '/dev/full', sink });
  log.info('first');
  log.info('second');
  expect(sink.lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual([
    'first',
    'log file cannot be written',
    'second',
  ]);
});

it('puts its file aside as the configuration says', async () => {
  await using dir = await TempDir.make();
  using log = createLogger({ level: 'info', file: dir.join('a.log'), max_bytes: 200, keep: 1, sink: listeningSink() });
  for (let line = 0; line < 10; line += 1) log.info({ line }, 'a line of some length');
  expect((await readdir(dir.path)).toSorted()).toEqual(['a.log', 'a.log.1']);
});

it('can be closed twice, and logs on to its sink', async () => {
  await using dir = await TempDir.make();
  const sink = listeningSink();
  const log = createLogger({ level: 'info', file: dir.join('a.log'), sink });
  log[Symbol.dispose]();
  log[Symbol.dispose]();
  log.info('still here');
  expect(sink.lines).toHaveLength(1);
});
