import type { Kysely } from 'kysely';
import { AuditRepository } from '../store/audit-repository.ts';
import type { AuditCheckpointRow, AuditRow } from '../store/audit-repository.ts';
import type { Schema } from '../store/schema.ts';
import { AUDIT_LIMITS } from './limits.ts';

/** One step along the stored chain. */
export type Step = { readonly record: AuditRow } | { readonly checkpoint: AuditCheckpointRow };

/** How many steps are taken before others get their turn. */
const STEPS_PER_TURN = 100;

/**
 * Everything that is stored, in the order of the chain: each record, then the checkpoint that signs it. Records end with
 * `throughSeq`, checkpoints with `checkpointsThroughSeq`. Holds a page of each at a time, lets others run in between, and rejects
 * with the signal's reason when it aborts.
 */
export async function* walk(
  db: Kysely<Schema>,
  through: { readonly recordSeq: number; readonly checkpointSeq: number },
  signal?: AbortSignal,
): AsyncGenerator<Step> {
  const audit = new AuditRepository(db);
  const limit = AUDIT_LIMITS.pageRowsMax;
  const checkpoints = paged((after) => audit.checkpointsAfter(after, through.checkpointSeq, limit));
  let checkpoint = await nextOf(checkpoints);
  let steps = 0;
  for await (const record of paged((after) => audit.recordsAfter(after, through.recordSeq, limit))) {
    for (; checkpoint !== undefined && checkpoint.seq < record.seq; checkpoint = await nextOf(checkpoints)) {
      yield { checkpoint };
    }
    yield { record };
    steps += 1;
    if (steps % STEPS_PER_TURN === 0) await turn();
    signal?.throwIfAborted();
  }
  for (; checkpoint !== undefined; checkpoint = await nextOf(checkpoints)) yield { checkpoint };
}

async function* paged<Row extends { readonly seq: number }>(
  read: (after: number | undefined) => Promise<Row[]>,
): AsyncGenerator<Row, undefined> {
  let after: number | undefined;
  for (;;) {
    const rows = await read(after);
    yield* rows;
    after = rows.at(-1)?.seq;
    if (after === undefined) return undefined;
  }
}

async function nextOf<Row>(rows: AsyncGenerator<Row, undefined>): Promise<Row | undefined> {
  return (await rows.next()).value;
}

/** Lets the event loop run what has come meanwhile. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
