import { DatabaseSync } from 'node:sqlite';
import { LIMITS } from '@drawbridge/protocol';
import { settle, TempDir } from '@drawbridge/testkit';
import { memoryLog } from '@drawbridge/runtime/testing';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openLink } from '../agent-fixture.ts';
import type { LinkFixture } from '../agent-fixture.ts';
import { Journal } from '../journal/journal.ts';
import { EventOutbox } from './event-outbox.ts';

let dir: TempDir;
let journal: Journal;
let outbox: EventOutbox;
let lines: Record<string, unknown>[];
beforeEach(async () => {
  dir = await TempDir.make();
  const memory = memoryLog();
  lines = memory.lines;
  journal = Journal.open(dir.join('journal.db'), () => 0);
  outbox = new EventOutbox(journal, memory.log);
});
afterEach(async () => {
  journal[Symbol.dispose]();
  await dir[Symbol.asyncDispose]();
});

async function connect(): Promise<LinkFixture> {
  const link = await openLink();
  outbox.linkUp(link.link);
  await settle();
  return link;
}

function seqs({ heard }: LinkFixture): number[] {
  return heard.flatMap((message) => (message.type === 'event' ? [message.payload.seq] : []));
}

it('sends what waited, then what comes, in order', async () => {
  outbox.append('warning', { first: true });
  outbox.append('warning', {});
  const link = await connect();
  outbox.append('task.state', {});
  await settle();
  expect(seqs(link)).toEqual([1, 2, 3]);
  expect(link.heard[0]).toMatchObject({ type: 'event', payload: { seq: 1, kind: 'warning', data: { first: true } } });
});

it('sends again on a new link what is not acknowledged', async () => {
  for (let count = 0; count < 3; count += 1) outbox.append('warning', {});
  await connect();
  outbox.acknowledged(1);
  outbox.linkDown();
  outbox.append('warning', {});
  expect(seqs(await connect())).toEqual([2, 3, 4]);
  expect(journal.eventsAfter(0, 10).map(({ seq }) => seq)).toEqual([2, 3, 4]);
});

it('is never more than so many events ahead of their ack', async () => {
  for (let count = 0; count < LIMITS.eventsInFlightMax + 5; count += 1) outbox.append('warning', {});
  const link = await connect();
  expect(seqs(link)).toHaveLength(LIMITS.eventsInFlightMax);
  outbox.acknowledged(2);
  await settle();
  expect(seqs(link)).toHaveLength(LIMITS.eventsInFlightMax + 2);
  expect(seqs(link)).toEqual(seqs(link).toSorted((a, b) => a - b));
});

it('ignores an ack of what it never sent, and one that comes late', async () => {
  for (let count = 0; count < 3; count += 1) outbox.append('warning', {});
  await connect();
  outbox.acknowledged(9);
  outbox.acknowledged(2);
  outbox.acknowledged(1);
  expect(journal.eventsAfter(0, 10).map(({ seq }) => seq)).toEqual([3]);
});

it('counts from 1 again after the journal got a new id', async () => {
  outbox.append('warning', {});
  await connect();
  outbox.acknowledged(1);
  outbox.linkDown();
  journal.rotate();
  outbox.restart();
  outbox.append('warning', {});
  expect(seqs(await connect())).toEqual([1]);
});

it('says so, and lives, when an event cannot be kept', () => {
  journal.append('warning', {});
  journal.rotate();
  journal[Symbol.dispose]();
  outbox.append('warning', {});
  expect(lines).toMatchObject([{ level: 'error', kind: 'warning' }]);
});

it('says so, and sends on, when an ack cannot be journalled', async () => {
  const path = dir.join('full.db');
  Journal.open(path, () => 0)[Symbol.dispose]();
  const raw = new DatabaseSync(path);
  raw.exec(`
    CREATE TRIGGER broken BEFORE DELETE ON events BEGIN
      SELECT RAISE(FAIL, 'database or disk is full');
    END
  `);
  raw.close();
  using full = Journal.open(path, () => 0);
  const memory = memoryLog();
  outbox = new EventOutbox(full, memory.log);
  outbox.append('warning', {});
  const link = await connect();
  outbox.acknowledged(1);
  outbox.append('warning', {});
  await settle();
  expect(seqs(link)).toEqual([1, 2]);
  expect(memory.lines).toMatchObject([{ level: 'warn', seq: 1 }]);
});
