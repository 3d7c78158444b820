import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { LIMITS } from '@drawbridge/protocol';
import type { Outcome } from '@drawbridge/protocol';
import { requires, TempDir } from '@drawbridge/testkit';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import type { TestContext } from 'vitest';
import { Journal } from './journal.ts';
import type { JournalEntry } from './journal.ts';

const SUCCESS: Outcome = { status: 'success', data: { exit: 0 } };
const FAILURE: Outcome = { status: 'error', error: { code: 'internal', message: 'boom' } };
const OUTCOMES: readonly Outcome[] = [
  SUCCESS,
  FAILURE,
  { status: 'cancelled' },
  { status: 'indeterminate', error: { code: 'indeterminate', message: 'who knows' } },
];

let nowMs = 1_000;

function open(path: string): Journal {
  return Journal.open(path, () => nowMs);
}

type Step =
  | { readonly kind: 'start' | 'cancel' | 'acknowledged'; readonly id: string }
  | { readonly kind: 'end'; readonly id: string; readonly outcome: Outcome }
  | { readonly kind: 'reopen' };

/** The transitions of a command, written down a second time. */
function expected(before: JournalEntry | undefined, step: Exclude<Step, { kind: 'reopen' }>): JournalEntry | undefined {
  switch (step.kind) {
    case 'start':
      return before ?? { state: 'started', operation: 'task.start' };
    case 'end':
      return before?.state === 'ended' ? before : { state: 'ended', outcome: step.outcome };
    case 'cancel':
      return before === undefined || before.state === 'started' ? { state: 'cancelled' } : before;
    case 'acknowledged':
      return before?.state === 'ended' ? { state: 'ended', outcome: undefined } : before;
  }
}

function perform(journal: Journal, step: Exclude<Step, { kind: 'reopen' }>): void {
  switch (step.kind) {
    case 'start':
      return journal.start(step.id, 'task.start');
    case 'end':
      return journal.end(step.id, 'task.start', step.outcome);
    case 'cancel':
      return journal.cancel(step.id);
    case 'acknowledged':
      return journal.acknowledged(step.id);
  }
}

it('moves a command only along its states, and knows the same after it was opened again', async () => {
  await using dir = await TempDir.make();
  const id = fc.constantFrom('a', 'b', 'c');
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constantFrom('start', 'cancel', 'acknowledged'), id }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('end'), id, outcome: fc.constantFrom(...OUTCOMES) }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'reopen' }) },
  );
  let run = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
      run += 1;
      const path = dir.join(`journal-${run}.db`);
      const model = new Map<string, JournalEntry>();
      let journal = open(path);
      try {
        for (const next of steps) {
          if (next.kind === 'reopen') {
            journal[Symbol.dispose]();
            journal = open(path);
            continue;
          }
          const entry = expected(model.get(next.id), next);
          if (entry !== undefined) model.set(next.id, entry);
          perform(journal, next);
        }
        for (const commandId of ['a', 'b', 'c']) expect(journal.find(commandId)).toEqual(model.get(commandId));
        const ids = (isWanted: (entry: JournalEntry) => boolean) =>
          [...model].flatMap(([commandId, entry]) => (isWanted(entry) ? [commandId] : [])).toSorted();
        expect(
          journal
            .unfinished()
            .map(({ commandId }) => commandId)
            .toSorted(),
        ).toEqual(ids((entry) => entry.state === 'started'));
        expect(
          journal
            .unacknowledged()
            .map(({ commandId }) => commandId)
            .toSorted(),
        ).toEqual(ids((entry) => entry.state === 'ended' && entry.outcome !== undefined));
      } finally {
        journal[Symbol.dispose]();
      }
    }),
    { numRuns: 40 },
  );
});

it('keeps its id, its outcomes in order and its events over a reopening', async () => {
  await using dir = await TempDir.make();
  const path = dir.join('journal.db');
  let journalId: string;
  {
    using journal = open(path);
    journalId = journal.journalId;
    for (const id of ['first', 'second', 'third']) journal.start(id, 'task.start');
    journal.end('second', 'task.start', FAILURE);
    journal.end('first', 'task.start', SUCCESS);
    journal.append('task.state', { state: 'running' });
    journal.append('warning', {});
  }
  using journal = open(path);
  expect(journal.journalId).toBe(journalId);
  expect(journal.lastEventSeq).toBe(2);
  expect(journal.eventsAfter(0, 10)).toEqual([
    { seq: 1, kind: 'task.state', data: { state: 'running' } },
    { seq: 2, kind: 'warning', data: {} },
  ]);
  expect(journal.unacknowledged()).toEqual([
    { commandId: 'first', outcome: SUCCESS },
    { commandId: 'second', outcome: FAILURE },
  ]);
  expect(journal.unfinished()).toEqual([{ commandId: 'third', operation: 'task.start' }]);
});

it('goes on counting events after the acknowledged ones are gone', async () => {
  await using dir = await TempDir.make();
  const path = dir.join('journal.db');
  {
    using journal = open(path);
    for (let count = 0; count < 3; count += 1) journal.append('warning', { count });
    journal.eventsAcknowledged(2);
    expect(journal.eventsAfter(0, 10).map(({ seq }) => seq)).toEqual([3]);
    journal.eventsAcknowledged(3);
  }
  using journal = open(path);
  expect(journal.append('warning', {})).toMatchObject({ seq: 4 });
});

it('gives events in portions', async () => {
  await using dir = await TempDir.make();
  using journal = open(dir.join('journal.db'));
  for (let count = 0; count < 5; count += 1) journal.append('warning', { count });
  expect(journal.eventsAfter(1, 2).map(({ seq }) => seq)).toEqual([2, 3]);
});

it('takes no event when too many wait for their ack', async () => {
  await using dir = await TempDir.make();
  const path = dir.join('journal.db');
  open(path)[Symbol.dispose]();
  const raw = new DatabaseSync(path);
  raw.exec(`
    WITH RECURSIVE n (seq) AS (VALUES (1) UNION ALL SELECT seq + 1 FROM n WHERE seq < ${LIMITS.eventsUnackedMax})
    INSERT INTO events SELECT seq, 'warning', '{}' FROM n;
    INSERT INTO meta VALUES ('last_event_seq', '${LIMITS.eventsUnackedMax}');
  `);
  raw.close();
  using journal = open(path);
  expect(journal.append('warning', {})).toBeUndefined();
  expect(journal.lastEventSeq).toBe(LIMITS.eventsUnackedMax);
  journal.eventsAcknowledged(1);
  expect(journal.append('warning', {})).toMatchObject({ seq: LIMITS.eventsUnackedMax + 1 });
});

it('starts its events anew under a new id, and keeps its commands, when it was an old copy', async () => {
  await using dir = await TempDir.make();
  const path = dir.join('journal.db');
  let journalId: string;
  {
    using journal = open(path);
    const oldId = journal.journalId;
    journal.end('a', 'task.start', SUCCESS);
    journal.append('warning', {});
    journal.append('warning', {});
    expect(journal.rotate()).toEqual({ dropped: 2 });
    journalId = journal.journalId;
    expect(journalId).not.toBe(oldId);
    expect(journal.lastEventSeq).toBe(0);
    expect(journal.append('warning', { after: true })).toMatchObject({ seq: 1 });
  }
  using journal = open(path);
  expect(journal.journalId).toBe(journalId);
  expect(journal.lastEventSeq).toBe(1);
  expect(journal.find('a')).toEqual({ state: 'ended', outcome: SUCCESS });
});

it('forgets after 30 days what was acknowledged or cancelled, and nothing else', async () => {
  await using dir = await TempDir.make();
  using journal = open(dir.join('journal.db'));
  nowMs = 1_000;
  journal.end('acknowledged', 'task.start', SUCCESS);
  journal.acknowledged('acknowledged');
  journal.cancel('cancelled');
  journal.end('unacknowledged', 'task.start', SUCCESS);
  journal.start('started', 'task.start');
  const known = () =>
    ['acknowledged', 'cancelled', 'unacknowledged', 'started'].filter((id) => journal.find(id) !== undefined);

  nowMs += LIMITS.journalRetentionMs;
  journal.sweep();
  expect(known()).toEqual(['acknowledged', 'cancelled', 'unacknowledged', 'started']);
  nowMs += 1;
  journal.sweep();
  expect(known()).toEqual(['unacknowledged', 'started']);
});

it('counts the 30 days from the acknowledgement', async () => {
  await using dir = await TempDir.make();
  using journal = open(dir.join('journal.db'));
  nowMs = 1_000;
  journal.end('a', 'task.start', SUCCESS);
  nowMs += LIMITS.journalRetentionMs;
  journal.acknowledged('a');
  nowMs += LIMITS.journalRetentionMs;
  journal.sweep();
  expect(journal.find('a')).toEqual({ state: 'ended', outcome: undefined });
});

it('refuses a second agent on the same journal, and lets it in once the first has gone', async () => {
  await using dir = await TempDir.make();
  const path = dir.join('journal.db');
  const first = open(path);
  expect(() => open(path)).toThrow(expect.objectContaining({ code: 'conflict' }));
  first.start('a', 'task.start');
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  const second = open(path);
  expect(() => open(path)).toThrow(expect.objectContaining({ code: 'conflict' }));
  expect(second.unfinished()).toHaveLength(1);
  second[Symbol.dispose]();
});

it.each([
  ['is no database', (bytes: Buffer) => bytes.fill('not a journal ')],
  ['has lost a page', (bytes: Buffer) => bytes.fill(0xff, bytes.length - 4096)],
  ['ends early', (bytes: Buffer) => bytes.subarray(0, bytes.length - 4096)],
])('puts a file aside that %s, and starts anew under another id', async (_name, damage) => {
  await using dir = await TempDir.make();
  const path = dir.join('journal.db');
  let journalId: string;
  {
    using journal = open(path);
    journalId = journal.journalId;
    for (let count = 0; count < 50; count += 1) journal.end(randomUUID(), 'task.start', SUCCESS);
  }
  const damaged = damage(await readFile(path));
  await writeFile(path, damaged);
  nowMs = 77;
  using journal = open(path);
  expect(journal.journalId).not.toBe(journalId);
  expect(journal.unacknowledged()).toEqual([]);
  expect(await readFile(`${path}.corrupt-77`)).toEqual(damaged);
});

it('says why it cannot be opened', async () => {
  await using dir = await TempDir.make();
  expect(() => open(dir.join('missing', 'journal.db'))).toThrow(
    expect.objectContaining({ code: 'journal_unavailable' }),
  );
  expect(await readdir(dir.path)).toEqual([]);
});

/** A file system of 256 KiB, or a skip where this process may not mount one. */
function mountTiny(path: string, { skip }: TestContext): Disposable {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', path], { stdio: 'pipe' });
  } catch (error) {
    if (process.env['DRAWBRIDGE_REQUIRE'] === 'all') throw error;
    skip('needs the right to mount a tmpfs');
  }
  return { [Symbol.dispose]: () => void execFileSync('umount', [path]) };
}

it.runIf(requires('linux', 'root'))(
  'says journal_unavailable on a full disk, and goes on with room',
  async (context) => {
    await using dir = await TempDir.make();
    using _disk = mountTiny(dir.path, context);
    const path = dir.join('journal.db');
    using journal = open(path);
    journal.start('before', 'task.start');
    await writeFile(dir.join('filler'), Buffer.alloc(1024 * 1024)).catch(() => undefined);
    const full = expect.objectContaining({ code: 'journal_unavailable' });
    expect(() => {
      for (let count = 0; count < 1_000; count += 1) journal.start(`fill-${count}`, 'task.start');
    }).toThrow(full);
    expect(() => journal.start('refused', 'task.start')).toThrow(full);
    expect(() => journal.end('before', 'task.start', SUCCESS)).toThrow(full);
    expect(() => journal.append('warning', {})).toThrow(full);
    expect(() => journal.rotate()).toThrow(full);
    expect(journal.find('refused')).toBeUndefined();
    expect(journal.lastEventSeq).toBe(0);

    await rm(dir.join('filler'));
    journal.end('before', 'task.start', SUCCESS);
    expect(journal.append('warning', {})).toMatchObject({ seq: 1 });
    expect(journal.find('before')).toEqual({ state: 'ended', outcome: SUCCESS });
  },
);
