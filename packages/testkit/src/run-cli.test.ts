import { fileURLToPath } from 'node:url';
import { afterEach, expect, it, vi } from 'vitest';
import { runCli, streamCli } from './run-cli.ts';
import { TestProcess } from './test-process.ts';
import { childrenOf, isAlive } from './process-table.ts';

const binary = fileURLToPath(new URL('../fixtures/stand-in.js', import.meta.url));

afterEach(() => vi.unstubAllEnvs());

it('gives the exit code, both outputs and each byte', async () => {
  const input = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  const result = await runCli(['exec', 'agent-1', '--code', '7'], { binary, input });
  expect(result.code).toBe(7);
  expect(new Uint8Array(result.stdoutBytes)).toEqual(input);
  expect(JSON.parse(result.stderr)).toMatchObject({ positionals: ['exec', 'agent-1'] });
});

it('gives the program the environment of a user, and what the test adds', async () => {
  vi.stubEnv('DRAWBRIDGE_URL', 'http://elsewhere');
  const { stderr } = await runCli([], { binary, env: { STAND_IN: 'x' } });
  expect(JSON.parse(stderr)).toEqual({ positionals: [], env: { STAND_IN: 'x', NO_COLOR: '1' } });
});

it('kills a command that takes too long', async () => {
  const running = runCli(['agent'], { binary, timeoutMs: 1 });
  await expect(running).rejects.toThrow('still runs after 1 ms');
});

it('talks with a command while it runs', async () => {
  await using cli = await streamCli(['shell'], { binary });
  for (const word of ['one', 'two']) {
    cli.write(`${word}\n`);
    await cli.waitFor(() => cli.stdout.lines.find((line) => line === word), { what: word, timeoutMs: 30_000 });
  }
  const looks: string[] = [];
  await cli.waitFor(() => looks.push('look'), { what: 'anything', timeoutMs: 30_000 });
  cli.write('three\n');
  await cli.waitFor(() => cli.stdout.lines[2], { what: 'three', timeoutMs: 30_000 });
  // Found is found: nobody looks again.
  expect(looks).toEqual(['look']);
  cli.endInput();
  expect(await cli.exited()).toEqual({ code: 0, signal: null });
});

it('ends the children of a process, those of another group too', async () => {
  const script = `sleep 1000 & setsid sleep 1000 & echo ready; wait`;
  let pids: number[];
  {
    await using shell = await TestProcess.start({ command: 'sh', args: ['-c', script] });
    await shell.waitFor(() => shell.stdout.lines[0], { what: 'the children', timeoutMs: 30_000 });
    pids = childrenOf(shell.pid);
    expect(pids).toHaveLength(2);
  }
  expect(pids.filter(isAlive)).toEqual([]);
});

it('fails for a program that is not there', async () => {
  await expect(TestProcess.start({ command: '/not/there', args: [] })).rejects.toThrow('ENOENT');
});
