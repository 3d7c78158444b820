import { DatabaseSync } from 'node:sqlite';
import { beforeEach, expect, it, onTestFinished } from 'vitest';
import { Batch } from './batch.ts';
import type { StoreReply, StoreRequest } from './messages.ts';
import { Scheduler } from './scheduler.ts';

let database: DatabaseSync;
let scheduler: Scheduler;
let replies: StoreReply[];

beforeEach(() => {
  database = new DatabaseSync(':memory:');
  onTestFinished(() => database.close());
  database.exec('create table t (v text unique)');
  replies = [];
  const send = (sent: readonly StoreReply[]) => void replies.push(...sent);
  scheduler = new Scheduler(
    new Batch({ database, path: 'test.db', statementsMax: 100, preparedStatementsMax: 10, send }),
    () => undefined,
  );
});

const insert = (value: string) => ({ sql: 'insert into t values (?)', parameters: [value], reads: false });

function ask(...requests: StoreRequest[]): void {
  for (const request of requests) scheduler.receive(request);
  scheduler.work(() => undefined);
}

const answered = () => replies.map((reply) => ('result' in reply ? '+' : '-') + reply.requestId);
const values = () =>
  database
    .prepare('select v from t order by rowid')
    .all()
    .map((row) => row['v']);

/** Makes SQLite give the whole outer transaction up, as a full disk does. The guard knows it without the comment. */
const disaster = { sql: 'insert or/**/rollback into t values (?)', parameters: ['old'], reads: false };

it('fails everything in a batch that SQLite gave up, and each later step of the transaction it took along', () => {
  database.exec("insert into t values ('old')");
  ask(
    { type: 'lone', requestId: 1, statement: insert('a') },
    { type: 'begin', requestId: 2, transactionId: 1 },
    { type: 'run', requestId: 3, transactionId: 1, statement: insert('b') },
  );
  expect(answered()).toEqual(['+2', '+3']);
  ask(
    { type: 'run', requestId: 4, transactionId: 1, statement: disaster },
    { type: 'run', requestId: 5, transactionId: 1, statement: insert('c') },
    { type: 'lone', requestId: 6, statement: insert('d') },
  );
  ask({ type: 'run', requestId: 7, transactionId: 1, statement: insert('e') });
  ask({ type: 'rollback', requestId: 8, transactionId: 1 });
  expect(answered()).toEqual(['+2', '+3', '-1', '-4', '-5', '+6', '-7', '-8']);
  expect(replies.find(({ requestId }) => requestId === 1)).toMatchObject({ failure: { code: 'store_unavailable' } });
  expect(values()).toEqual(['old', 'd']);
});

it('fails a lone statement and its neighbours when SQLite gave the batch up', () => {
  database.exec("insert into t values ('old')");
  ask(
    { type: 'lone', requestId: 1, statement: insert('a') },
    { type: 'lone', requestId: 2, statement: disaster },
    { type: 'lone', requestId: 3, statement: insert('b') },
  );
  expect(answered()).toEqual(['-1', '-2', '+3']);
  expect(values()).toEqual(['old', 'b']);
});

it('undoes all of a lone statement that fails half-way', () => {
  database.exec("insert into t values ('old')");
  ask({
    type: 'lone',
    requestId: 1,
    statement: { sql: "insert or fail into t values ('new'), ('old')", parameters: [], reads: false },
  });
  expect(answered()).toEqual(['-1']);
  expect(values()).toEqual(['old']);
});

it('runs what arrives while it works in the same batch', () => {
  const later: StoreRequest[][] = [[{ type: 'lone', requestId: 2, statement: insert('b') }]];
  scheduler.receive({ type: 'lone', requestId: 1, statement: insert('a') });
  scheduler.work(() => {
    expect(replies).toEqual([]);
    return later.shift();
  });
  expect(answered()).toEqual(['+1', '+2']);
});

it('undoes what nobody will commit, and runs what waited behind it, when it is closed', () => {
  ask(
    { type: 'begin', requestId: 1, transactionId: 1 },
    { type: 'run', requestId: 2, transactionId: 1, statement: insert('a') },
    { type: 'lone', requestId: 3, statement: insert('b') },
    { type: 'begin', requestId: 4, transactionId: 2 },
    { type: 'run', requestId: 5, transactionId: 2, statement: insert('c') },
    { type: 'commit', requestId: 6, transactionId: 2 },
    { type: 'begin', requestId: 7, transactionId: 3 },
    { type: 'close' },
  );
  expect(scheduler.isClosing).toBe(true);
  expect(values()).toEqual(['b', 'c']);
  expect(answered().toSorted()).toEqual(['+1', '+2', '+3', '+4', '+5', '+6', '+7']);
});
