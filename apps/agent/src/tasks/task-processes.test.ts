import { expect, it, vi } from 'vitest';
import { FakeClock } from '@drawbridge/testkit';
import { parsePs } from './process-table-darwin.ts';
import { parseProcStat } from './process-table-linux.ts';
import type { ProcessInfo, ProcessTable } from './process-table.ts';
import { endTaskProcesses, findTaskProcesses } from './task-processes.ts';

/** pid, parent, session, start, mark. Numbers far above what a machine gives out: nothing real is ever signalled. */
type Row = readonly [pid: number, parent: number, session: number, startedAt: number, mark?: string];
const BASE = 2 ** 30;

function tableOf(rows: readonly Row[]): ProcessTable {
  const all: ProcessInfo[] = rows.map(([pid, parent, session, startedAt]) => ({
    pid: BASE + pid,
    parentPid: BASE + parent,
    session: BASE + session,
    startedAt,
  }));
  return {
    bootId: async () => 'boot',
    list: async () => all,
    identify: async (pid) => all.find((one) => one.pid === pid),
    taskIdOf: async (pid) => rows.find((row) => BASE + row[0] === pid)?.[4],
  };
}

const leader = { pid: BASE + 10, startedAt: 100 };

it.each<[string, Row[], number[], boolean?]>([
  ['the leader', [[10, 1, 10, 100]], [10]],
  ['nobody with the number of a leader that is gone', [[10, 1, 10, 200]], []],
  [
    'children of children, whatever they hide',
    [
      [10, 1, 10, 100],
      [11, 10, 11, 101],
      [12, 11, 12, 102],
    ],
    [10, 11, 12],
  ],
  ['the marked, wherever they went', [[50, 1, 50, 150, 'task']], [50]],
  [
    'the session of the marked',
    [
      [50, 1, 40, 150, 'task'],
      [51, 1, 40, 151],
    ],
    [50, 51],
  ],
  ['nobody who is marked for another task', [[50, 1, 50, 150, 'other']], []],
  ['nobody older than the leader', [[50, 1, 50, 99, 'task']], []],
  ['the session of a leader just gone', [[11, 1, 10, 101]], [11]],
  ['not the session of a leader long gone: a stranger may have the number', [[11, 1, 10, 101]], [], false],
  [
    'not the session of a stranger with the number',
    [
      [10, 1, 10, 200],
      [11, 1, 10, 201],
    ],
    [],
  ],
])('takes for a task %s', async (_name, rows, expected, leaderIsOurs = true) => {
  const found = await findTaskProcesses(tableOf(rows), { taskId: 'task', leader, leaderIsOurs });
  expect(found.map((one) => one.pid - BASE)).toEqual(expected);
});

it('never takes the session of the agent itself for the task of one who is in it', async () => {
  const table = tableOf([
    [50, 1, 40, 150, 'task'],
    [51, 1, 40, 151],
  ]);
  const agent = { pid: process.pid, parentPid: 1, session: BASE + 40, startedAt: 1 };
  const withAgent = { ...table, list: async () => [...(await table.list()), agent] };
  const found = await findTaskProcesses(withAgent, { taskId: 'task', leader, leaderIsOurs: true });
  expect(found.map((one) => one.pid - BASE)).toEqual([50]);
});

it('signals nobody who got the number of a process between the look and the signal', async () => {
  const kill = vi.spyOn(process, 'kill').mockReturnValue(true);
  try {
    const clock = new FakeClock();
    const table = { ...tableOf([[10, 1, 10, 100]]), identify: async (pid: number) => ({ pid, startedAt: 999 }) };
    const ending = endTaskProcesses({ taskId: 'task', leader, leaderIsOurs: true }, { table, clock, killGraceMs: 1 });
    await clock.advance(60_000);
    await ending;
    expect(kill).not.toHaveBeenCalled();
  } finally {
    kill.mockRestore();
  }
});

it('gives up on what cannot be ended, and names it', async () => {
  const clock = new FakeClock();
  const ending = endTaskProcesses(
    { taskId: 'task', leader, leaderIsOurs: true },
    { table: tableOf([[10, 1, 10, 100]]), clock, killGraceMs: 5000 },
  );
  await clock.advance(60_000);
  expect(await ending).toMatchObject([leader]);
  expect(clock.pending).toBe(0);
});

it('reads a process whose name is made to mislead', () => {
  const text = '42 (a) R 1 (b) S 7 42 40 0 -1 4194304 99 0 0 0 0 0 0 0 20 0 1 0 239113 3133440 393';
  expect(parseProcStat(text)).toEqual({ pid: 42, state: 'S', parentPid: 7, session: 40, startedAt: 239113 });
  expect(parseProcStat('')).toBeUndefined();
});

it('reads what ps prints on a Mac', () => {
  const text = `  501     1   501 Ss   Sat Nov 21 13:42:05 2026
  502   501   501 Z    Sat Nov 21 13:42:06 2026
`;
  const startedAt = Date.UTC(2026, 10, 21, 13, 42, 5);
  expect(parsePs(text)).toEqual([{ pid: 501, parentPid: 1, session: 501, startedAt }]);
});
