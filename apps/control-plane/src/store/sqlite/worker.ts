import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { Batch } from './batch.ts';
import { DatabaseCopier } from './copy-database.ts';
import { openFailureOf } from './failure.ts';
import type { CopyRequest, StoreReply, StoreRequest, WorkerReport, WorkerSettings } from './messages.ts';
import { openDatabase } from './open-database.ts';
import { Scheduler } from './scheduler.ts';

// The thread that owns the database file: an fsync here stalls nobody else. Started by `openSqlite` alone.

if (parentPort === null) throw new Error('worker.ts runs in a worker thread');
serve(parentPort, workerData);

function serve(port: NonNullable<typeof parentPort>, settings: WorkerSettings): void {
  const report = (message: WorkerReport) => port.postMessage(message);
  const { path } = settings;

  let database;
  try {
    database = openDatabase(path);
  } catch (error) {
    report({ type: 'refused', failure: openFailureOf(error, path) });
    return;
  }

  const batch = new Batch({
    database,
    path,
    statementsMax: settings.batchStatementsMax,
    preparedStatementsMax: settings.preparedStatementsMax,
    send: (replies, stats) => report({ type: 'replies', replies, stats }),
  });
  const copier = new DatabaseCopier(database);
  const copy = ({ requestId, path: copyPath }: CopyRequest): void => {
    const answer = (reply: StoreReply): void => {
      batch.reply(reply, 'now');
      batch.flush();
    };
    void copier.copy(copyPath).then(
      () => answer({ requestId, result: { rows: [] } }),
      (error: unknown) => answer({ requestId, failure: openFailureOf(error, copyPath) }),
    );
  };
  const scheduler = new Scheduler(batch, copy);
  const poll = (): readonly StoreRequest[] | undefined => receiveMessageOnPort(port)?.message;

  port.on('message', (requests: readonly StoreRequest[]) => {
    for (const request of requests) scheduler.receive(request);
    scheduler.work(poll);
    if (!scheduler.isClosing) return;
    void copier.stop().then(() => {
      database.close();
      // With nothing left to listen to, the thread ends, and that says that the store is closed.
      port.close();
    });
  });
  report({ type: 'opened' });
}
