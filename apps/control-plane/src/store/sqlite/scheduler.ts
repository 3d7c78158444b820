import { Batch } from './batch.ts';
import type { CopyRequest, Failure, LoneRequest, StoreRequest, TransactionRequest } from './messages.ts';

/** An interactive transaction: its steps arrive one by one, and wait here until it is its turn. */
interface Transaction {
  readonly transactionId: number;
  readonly inbox: TransactionRequest[];
  /** Set when the batch it ran in was lost: every further step fails with it. */
  lost: Failure | undefined;
}

/**
 * Decides what runs next on the one connection: units of work in the order in which they were asked for. A transaction
 * that waits for its caller keeps everything behind it waiting; nothing ever runs inside another's transaction.
 */
export class Scheduler {
  readonly #batch: Batch;
  readonly #copy: (request: CopyRequest) => void;
  /** Units whose turn has not come. */
  readonly #line: (LoneRequest | Transaction)[] = [];
  /** Every transaction that has begun, in line or not, and has not ended. */
  readonly #transactions = new Map<number, Transaction>();
  /** The transaction whose savepoint is open. */
  #current: Transaction | undefined;
  #closing = false;

  constructor(batch: Batch, copy: (request: CopyRequest) => void) {
    this.#batch = batch;
    this.#copy = copy;
  }

  /** The last request was taken: `work` leaves nothing behind. */
  get isClosing(): boolean {
    return this.#closing;
  }

  /** Takes a request in; `work` runs it. */
  receive(request: StoreRequest): void {
    switch (request.type) {
      case 'lone':
        this.#line.push(request);
        return;
      case 'copy':
        this.#copy(request);
        return;
      case 'close':
        this.#closing = true;
        return;
      case 'begin': {
        const transaction = { transactionId: request.transactionId, inbox: [request], lost: undefined };
        this.#transactions.set(request.transactionId, transaction);
        this.#line.push(transaction);
        return;
      }
      default:
        this.#receiveStep(request);
    }
  }

  /** Runs all that can run, taking in what `poll` brings meanwhile, and commits when nothing more is waiting. */
  work(poll: () => readonly StoreRequest[] | undefined): void {
    for (;;) {
      this.#runLine();
      const requests = this.#closing ? undefined : poll();
      if (requests === undefined) break;
      for (const request of requests) this.receive(request);
    }
    if (this.#closing) this.#abandonAll();
    if (this.#current === undefined) this.#batch.commit();
    else this.#batch.flush();
  }

  #runLine(): void {
    for (;;) {
      if (this.#current !== undefined) {
        const step = this.#current.inbox.shift();
        if (step === undefined) return;
        this.#runStep(this.#current, step);
      } else {
        if (this.#batch.isFull) this.#batch.commit();
        const unit = this.#line.shift();
        if (unit === undefined) return;
        if ('inbox' in unit) this.#current = unit;
        else this.#runLone(unit);
      }
    }
  }

  #receiveStep(step: TransactionRequest): void {
    const transaction = this.#transactions.get(step.transactionId);
    if (transaction === undefined) throw new Error(`transaction ${step.transactionId}: ${step.type} before begin`);
    if (transaction.lost === undefined) transaction.inbox.push(step);
    else this.#refuse(transaction, transaction.lost, step);
  }

  /** A lone statement is a unit of its own, so that one that fails half-way has done nothing. */
  #runLone({ requestId, statement }: LoneRequest): void {
    try {
      if (statement.reads) {
        this.#batch.reply({ requestId, result: this.#batch.run(statement) }, 'durable');
        return;
      }
      this.#batch.begin();
      const result = this.#batch.run(statement);
      this.#batch.release();
      this.#batch.reply({ requestId, result }, 'durable');
    } catch (error) {
      const { failure, fatal } = this.#batch.judge(error, statement.sql);
      if (fatal) this.#batch.fail(failure);
      else if (!statement.reads) this.#batch.undo();
      this.#batch.reply({ requestId, failure }, 'durable');
    }
  }

  #runStep(transaction: Transaction, step: TransactionRequest): void {
    const { requestId } = step;
    try {
      switch (step.type) {
        case 'begin':
          this.#batch.begin();
          return this.#done(requestId, 'now');
        case 'run':
          return this.#batch.reply({ requestId, result: this.#batch.run(step.statement) }, 'now');
        case 'commit':
          this.#batch.release();
          this.#end(transaction, 'released');
          return this.#done(requestId, 'durable');
        case 'rollback':
          this.#batch.undo();
          this.#end(transaction, 'rolledBack');
          return this.#done(requestId, 'durable');
      }
    } catch (error) {
      const { failure, fatal } = this.#batch.judge(error, step.type === 'run' ? step.statement.sql : step.type);
      if (!fatal && step.type === 'run') {
        this.#batch.reply({ requestId, failure }, 'now');
      } else {
        this.#batch.fail(failure);
        this.#lose(transaction, failure, step);
      }
    }
  }

  /** The batch is gone, and the transaction with it. Its caller learns from each step, until it ends it. */
  #lose(transaction: Transaction, failure: Failure, step: TransactionRequest): void {
    this.#current = undefined;
    transaction.lost = failure;
    this.#refuse(transaction, failure, step);
    for (const waiting of transaction.inbox.splice(0)) this.#refuse(transaction, failure, waiting);
  }

  #refuse(transaction: Transaction, failure: Failure, { type, requestId }: TransactionRequest): void {
    // A rollback fails as well: what the transaction has read may never have been.
    if (type === 'commit' || type === 'rollback') this.#transactions.delete(transaction.transactionId);
    this.#batch.reply({ requestId, failure }, 'now');
  }

  #end(transaction: Transaction, end: 'released' | 'rolledBack'): void {
    this.#current = undefined;
    this.#transactions.delete(transaction.transactionId);
    this.#batch.countTransaction(end);
  }

  #done(requestId: number, when: 'now' | 'durable'): void {
    this.#batch.reply({ requestId, result: { rows: [] } }, when);
  }

  /** Nobody will end the open transactions any more: undoes each, and lets those behind it run. */
  #abandonAll(): void {
    while (this.#current !== undefined) {
      this.#batch.undo();
      this.#end(this.#current, 'rolledBack');
      this.#runLine();
    }
  }
}
