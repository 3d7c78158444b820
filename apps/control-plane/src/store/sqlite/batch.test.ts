import { DatabaseSync } from 'node:sqlite';
import { beforeEach, expect, it, onTestFinished } from 'vitest';
import { Batch } from './batch.ts';
import type { StoreReply } from './messages.ts';

const INSERT = { sql: 'insert into t values (?)', parameters: ['a'], reads: false };
const SELECT = { sql: 'select v from t', parameters: [], reads: true };
const COUNT = { rows: [] };

let database: DatabaseSync;
let batch: Batch;
/** Each reply, with whether the outer transaction was still open when it was said. */
let said: { reply: StoreReply; inTransaction: boolean }[];

beforeEach(() => {
  database = new DatabaseSync(':memory:');
  onTestFinished(() => database.close());
  database.exec('create table t (v text unique)');
  said = [];
  batch = new Batch({
    database,
    path: 'test.db',
    statementsMax: 10,
    preparedStatementsMax: 10,
    send: (replies) => said.push(...replies.map((reply) => ({ reply, inTransaction: database.isTransaction }))),
  });
});

function unit(): void {
  batch.begin();
  batch.run(INSERT);
  batch.release();
}

it('holds every reply after the first write, a read’s too, until the commit', () => {
  unit();
  batch.reply({ requestId: 1, result: COUNT }, 'durable');
  batch.reply({ requestId: 2, result: batch.run(SELECT) }, 'durable');
  batch.flush();
  expect(said).toEqual([]);
  batch.commit();
  expect(said).toEqual([
    { reply: { requestId: 1, result: COUNT }, inTransaction: false },
    { reply: { requestId: 2, result: { rows: [['a']], columns: ['v'] } }, inTransaction: false },
  ]);
});

it('lets a read that came before the first write answer without the commit', () => {
  batch.reply({ requestId: 1, result: batch.run(SELECT) }, 'durable');
  unit();
  batch.flush();
  expect(said.map(({ reply }) => reply.requestId)).toEqual([1]);
});

it('answers what is tentative at once', () => {
  unit();
  batch.reply({ requestId: 1, result: COUNT }, 'now');
  batch.flush();
  expect(said.map(({ reply }) => reply.requestId)).toEqual([1]);
});

it('turns every held reply into the failure when the batch is lost, and goes on', () => {
  unit();
  batch.reply({ requestId: 1, result: COUNT }, 'durable');
  batch.fail({ kind: 'store', code: 'disk_full', message: 'full' });
  expect(said).toMatchObject([{ reply: { requestId: 1, failure: { code: 'disk_full' } }, inTransaction: false }]);
  expect(database.prepare('select * from t').all()).toEqual([]);
  unit();
  batch.reply({ requestId: 2, result: COUNT }, 'durable');
  batch.commit();
  expect(said[1]).toMatchObject({ reply: { requestId: 2, result: COUNT } });
  expect(database.prepare('select * from t').all()).toEqual([{ v: 'a' }]);
});

it('fails all that is held when the commit fails', () => {
  database.exec(`
    pragma foreign_keys = on;
    create table child (v text references t (v) deferrable initially deferred)`);
  batch.begin();
  batch.run({ sql: 'insert into child values (?)', parameters: ['nobody'], reads: false });
  batch.release();
  batch.reply({ requestId: 1, result: COUNT }, 'durable');
  batch.commit();
  expect(said).toMatchObject([{ reply: { requestId: 1, failure: { kind: 'store', code: 'store_unavailable' } } }]);
  expect(database.isTransaction).toBe(false);
});

it('judges an error fatal when SQLite gave the whole transaction up', () => {
  unit();
  const refusal = new Error('constraint');
  expect(batch.judge(refusal, 'x')).toMatchObject({ fatal: false, failure: { kind: 'statement' } });
  database.exec('ROLLBACK');
  expect(batch.judge(refusal, 'x')).toMatchObject({ fatal: true, failure: { code: 'store_unavailable' } });
});

it('judges a failing disk fatal, and names the full one', () => {
  const error = (errcode: number) => Object.assign(new Error('sqlite'), { errcode });
  expect(batch.judge(error(13), 'x')).toMatchObject({ fatal: true, failure: { code: 'disk_full' } });
  expect(batch.judge(error(10 | (4 << 8)), 'x')).toMatchObject({ fatal: true, failure: { code: 'store_unavailable' } });
  expect(batch.judge(error(2067), 'x')).toMatchObject({ fatal: false, failure: { sqliteCode: 2067 } });
});
