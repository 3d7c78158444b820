import { randomUUID } from 'node:crypto';
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '@drawbridge/link';
import { Journal } from '../../apps/agent/src/journal/journal.ts';

/** A page, as SQLite writes it to its log. */
const PAGE = Buffer.alloc(4_096, 1);

/** How long each of `count` promises of an agent's journal takes, and each bare append with fdatasync beside it. */
export function journalCost(dir: string, count: number): { journalMs: number[]; fsyncMs: number[] } {
  using journal = Journal.open(join(dir, 'bench-journal.db'), () => systemClock.now());
  const file = openSync(join(dir, 'bench-fsync'), 'a');
  try {
    const journalMs: number[] = [];
    const fsyncMs: number[] = [];
    for (let index = 0; index < count; index += 1) {
      journalMs.push(millisecondsOf(() => journal.start(randomUUID(), 'task.start')));
      fsyncMs.push(
        millisecondsOf(() => {
          writeSync(file, PAGE);
          fdatasyncSync(file);
        }),
      );
    }
    return { journalMs, fsyncMs };
  } finally {
    closeSync(file);
  }
}

function millisecondsOf(work: () => void): number {
  const startedMs = systemClock.monotonic();
  work();
  return systemClock.monotonic() - startedMs;
}
