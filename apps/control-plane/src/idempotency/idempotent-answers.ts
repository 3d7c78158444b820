import { createHash } from 'node:crypto';
import type { Clock } from '@drawbridge/link';
import { ControlError } from '@drawbridge/protocol';
import type { Logger } from '@drawbridge/runtime';
import { IdempotencyRepository } from '../store/idempotency-repository.ts';
import type { IdempotencyKeyRow } from '../store/idempotency-repository.ts';
import type { SecretBox, SecretPlace } from '../store/secret-box.ts';
import type { Db } from '../store/store.ts';
import { timestamp } from '../store/timestamp.ts';

const HOUR_MS = 60 * 60_000;
/** How long an answer can be had again. */
const KEPT_MS = 24 * HOUR_MS;
const SWEEP_MS = 10 * 60_000;
/** A repetition waits this long for the request before it; then it is told to come again. */
const WAIT_MS = 20_000;
/** Keys of one actor that are remembered; one more is refused with `rate_limited`. */
const KEYS_PER_ACTOR_MAX = 10_000;

/** Which request of whom. */
export interface KeyedRequest {
  readonly actor: string;
  readonly key: string;
  /** Everything the request asks for, as one text. */
  readonly request: string;
}

/** What is given again: an HTTP status, and whatever the carrier makes of `content`. */
export interface StoredAnswer {
  readonly status: number;
  readonly content: string;
}

interface Live {
  readonly requestSha256: string;
  readonly ended: Promise<void>;
  readonly end: () => void;
}

export interface IdempotentAnswersOptions {
  readonly db: Db;
  readonly box: SecretBox;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Remembers what a request under an Idempotency-Key was answered, sealed, because answers hold secrets that are shown once. A key is
 * `running` in the store before the request acts; one that is still so when nobody here works on it was lost with its process, and
 * nobody knows what came of it.
 *
 *   (none) --begin--> running --finish--> done --a day--> (none)
 *                     running --abandon-> (none)
 */
export class IdempotentAnswers {
  readonly #options: IdempotentAnswersOptions;
  readonly #live = new Map<string, Live>();

  constructor(options: IdempotentAnswersOptions) {
    this.#options = options;
  }

  /**
   * The answer of before; or undefined: then the caller acts, and calls `finish` or `abandon`. Throws ControlError
   * `idempotency_mismatch` for another request under the same key, `conflict` while the first one is still under way,
   * `indeterminate` when that one was lost.
   */
  async begin(request: KeyedRequest): Promise<StoredAnswer | undefined> {
    const name = nameOf(request);
    const requestSha256 = createHash('sha256').update(request.request).digest('hex');
    const untilMs = this.#options.clock.monotonic() + WAIT_MS;
    for (let live = this.#live.get(name); live !== undefined; live = this.#live.get(name)) {
      if (live.requestSha256 !== requestSha256) throw mismatch();
      await this.#ended(live, untilMs);
    }
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    this.#live.set(name, { requestSha256, ended, end });
    let isOurs = false;
    try {
      const row = await this.#find(request);
      if (row !== undefined) return this.#answerOf(row, requestSha256);
      await this.#insert(request, requestSha256);
      isOurs = true;
      return undefined;
    } finally {
      if (!isOurs) this.#release(name);
    }
  }

  /** Keeps the answer. Should that fail, the answer is still right, and a repetition is told that nobody knows. */
  async finish(request: KeyedRequest, { status, content }: StoredAnswer): Promise<void> {
    const { db, box, log } = this.#options;
    const { actor, key } = request;
    try {
      const sealed = box.seal(content, placeOf(request, 'answer'));
      await new IdempotencyRepository(db).finish(actor, key, status, sealed);
    } catch (error) {
      log.error({ err: error, actor }, 'the answer to an idempotent request is not stored');
    } finally {
      this.#release(nameOf(request));
    }
  }

  /** The request failed: it may be made again. */
  async abandon(request: KeyedRequest): Promise<void> {
    const { db, log } = this.#options;
    try {
      await new IdempotencyRepository(db).delete(request.actor, request.key);
    } catch (error) {
      log.error({ err: error, actor: request.actor }, 'an idempotent request that failed is not forgotten');
    } finally {
      this.#release(nameOf(request));
    }
  }

  /** Forgets what is a day old. */
  async sweep(): Promise<number> {
    const { db, clock } = this.#options;
    return new IdempotencyRepository(db).deleteBefore(timestamp(clock, -KEPT_MS));
  }

  /** Sweeps again and again until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    while (!signal.aborted) {
      await this.sweep().catch((error: unknown) => log.warn({ err: error }, 'idempotency keys not swept'));
      await clock.sleep(SWEEP_MS, signal).catch(() => undefined);
    }
  }

  async #ended({ ended }: Live, untilMs: number): Promise<void> {
    const { clock } = this.#options;
    const nap = new AbortController();
    const late = clock.sleep(Math.max(0, untilMs - clock.monotonic()), nap.signal).then(() => {
      const message = 'the first request with this Idempotency-Key is still under way';
      throw new ControlError('conflict', message, { details: { retry_after_seconds: 1 } });
    });
    try {
      await Promise.race([ended, late]);
    } finally {
      nap.abort(new Error('the first request has ended'));
    }
  }

  /** What is known of the key; one that is too old is not known any more. */
  async #find({ actor, key }: KeyedRequest): Promise<IdempotencyKeyRow | undefined> {
    const { db, clock } = this.#options;
    const keys = new IdempotencyRepository(db);
    const row = await keys.find(actor, key);
    if (row === undefined || row.created_at >= timestamp(clock, -KEPT_MS)) return row;
    await keys.delete(actor, key);
    return undefined;
  }

  #answerOf(row: IdempotencyKeyRow, requestSha256: string): StoredAnswer {
    const { box } = this.#options;
    if (box.openText(row.request_sha256, placeOf(row, 'request_sha256')) !== requestSha256) throw mismatch();
    if (row.answer !== null && row.status !== null) {
      return { status: row.status, content: box.openText(row.answer, placeOf(row, 'answer')) };
    }
    throw new ControlError(
      'indeterminate',
      'the first request with this Idempotency-Key was under way when the control plane stopped: see whether what it makes is there, ' +
        'and ask for it under another key if it is not',
    );
  }

  /** The hash is sealed too: what is asked for may hold a password that one could guess. */
  async #insert(request: KeyedRequest, requestSha256: string): Promise<void> {
    const { db, box, clock } = this.#options;
    const { actor, key } = request;
    const keys = new IdempotencyRepository(db);
    if ((await keys.countOf(actor)) >= KEYS_PER_ACTOR_MAX) {
      throw new ControlError('rate_limited', `${KEYS_PER_ACTOR_MAX} requests with an Idempotency-Key within a day`);
    }
    await keys.insert({
      actor,
      key,
      request_sha256: box.seal(requestSha256, placeOf(request, 'request_sha256')),
      state: 'running',
      status: null,
      answer: null,
      created_at: timestamp(clock),
    });
  }

  #release(name: string): void {
    this.#live.get(name)?.end();
    this.#live.delete(name);
  }
}

function nameOf({ actor, key }: Pick<KeyedRequest, 'actor' | 'key'>): string {
  return `${actor} ${key}`;
}

function placeOf(request: Pick<KeyedRequest, 'actor' | 'key'>, column: 'request_sha256' | 'answer'): SecretPlace {
  return { table: 'idempotency_keys', row: nameOf(request), column };
}

function mismatch(): ControlError {
  return new ControlError('idempotency_mismatch', 'this Idempotency-Key was used for another request');
}
