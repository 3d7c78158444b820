import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuditFixture } from './audit-fixture.ts';
import { ALL, RECORDS, SIGNED, STRETCH, TamperedLog, edited, kinds, rowOf } from './tampered-log-fixture.ts';
import { type StoredLog, readStored, rehash, verifyTampered, writeStored } from './tampering-fixture.ts';

let log: TamperedLog;
let audit: AuditFixture;
let intact: StoredLog;
beforeAll(async () => {
  log = await TamperedLog.make();
  ({ audit, intact } = log);
});
afterAll(() => log[Symbol.asyncDispose]());

const tampered = (tamper: (stored: StoredLog) => void) => log.verify(tamper);

it('finds nothing wrong with a chain that nobody has touched', async () => {
  expect(await tampered(() => undefined)).toEqual({
    ok: true,
    records: RECORDS,
    checkpoints: 2,
    first: 1,
    last: RECORDS,
    last_hash: intact.records.at(-1)?.hash,
    problems: [],
    problems_total: 0,
  });
});

describe('an edited record', () => {
  const COLUMNS = [
    'id',
    'at',
    'actor',
    'actor_name',
    'verb',
    'resource',
    'agent_id',
    'address',
    'request_id',
    'result',
  ];

  it.each([...COLUMNS, 'reason', 'details', 'previous_hash', 'hash'])(
    'is found by its %s, wherever it stands',
    async (column) => {
      for (const seq of ALL) {
        const report = await tampered((stored) => {
          const row = rowOf(stored, seq);
          Object.assign(row, { [column]: edited(row, column) });
        });
        expect(report.problems, `record ${seq}`).toContainEqual(expect.objectContaining({ seq, kind: 'edited' }));
      }
    },
  );

  it('is found when only the white space of its details has changed', async () => {
    const report = await tampered((stored) => {
      rowOf(stored, 7).details = rowOf(stored, 7).details.replace(':', ': ');
    });
    expect(report.problems).toContainEqual(expect.objectContaining({ seq: 7, kind: 'edited' }));
  });

  it('is found when its own hash was computed anew', async () => {
    for (const seq of ALL) {
      const report = await tampered((stored) => {
        rowOf(stored, seq).actor = 'user:mallory';
        const copy = structuredClone(stored);
        rehash(copy);
        rowOf(stored, seq).hash = rowOf(copy, seq).hash;
      });
      expect(report.ok, `record ${seq}`).toBe(false);
    }
  });

  it('is found when every hash behind it was computed anew, as far as a checkpoint reaches', async () => {
    for (const seq of ALL.slice(0, SIGNED)) {
      const report = await tampered((stored) => {
        rowOf(stored, seq).actor = 'user:mallory';
        rehash(stored);
      });
      expect(kinds(report), `record ${seq}`).toEqual(['rewritten']);
    }
  });

  it('behind the last checkpoint is found by an anchor alone, when all was computed anew', async () => {
    const report = await tampered((stored) => {
      rowOf(stored, SIGNED + 2).actor = 'user:mallory';
      rehash(stored);
    });
    expect(report.ok).toBe(true);
    const { seq, hash } = rowOf(intact, RECORDS);
    expect(kinds(await audit.newLog().verify([{ seq, hash }]))).toEqual(['rewritten']);
    // The process that wrote it remembers.
    expect(kinds(await audit.log.verify())).toEqual(['rewritten']);
  });
});

describe('a removed record', () => {
  it('is found by the gap', async () => {
    for (const seq of ALL) {
      const report = await tampered((stored) => {
        stored.records = stored.records.filter((row) => row.seq !== seq);
      });
      const kind = seq === RECORDS ? 'cut_off' : 'removed';
      expect(report.problems, `record ${seq}`).toContainEqual(expect.objectContaining({ seq, kind }));
    }
  });

  it('is found when the others were numbered and computed anew, as far as a checkpoint reaches', async () => {
    for (const seq of ALL.slice(0, SIGNED)) {
      const report = await tampered((stored) => {
        stored.records = stored.records.filter((row) => row.seq !== seq);
        rehash(stored);
      });
      expect(kinds(report), `record ${seq}`).toContain('rewritten');
    }
  });

  it('is found at the beginning, though a checkpoint stands there as after a sweep', async () => {
    const report = await tampered((stored) => {
      stored.records = stored.records.filter((row) => row.seq > STRETCH);
    });
    expect(report.problems).toMatchObject([{ seq: STRETCH, kind: 'removed' }]);
  });
});

describe('an inserted record', () => {
  it('is found when the later ones were only numbered anew', async () => {
    for (const seq of ALL) {
      const report = await tampered((stored) => {
        const later = stored.records.filter((row) => row.seq >= seq);
        for (const row of later) row.seq += 1;
        stored.records.push({ ...rowOf(intact, seq) });
        for (const head of stored.head) head.seq += 1;
      });
      expect(report.ok, `before record ${seq}`).toBe(false);
    }
  });

  it('is found when all was computed anew, as far as a checkpoint reaches', async () => {
    for (const seq of ALL.slice(0, SIGNED)) {
      const report = await tampered((stored) => {
        stored.records.splice(seq - 1, 0, { ...rowOf(intact, seq), actor: 'user:mallory' });
        rehash(stored);
      });
      expect(kinds(report), `before record ${seq}`).toEqual(['rewritten']);
    }
  });

  it('is found behind the end and before the beginning', async () => {
    for (const seq of [RECORDS + 1, 0, -5]) {
      const report = await tampered((stored) => stored.records.push({ ...rowOf(intact, 3), seq }));
      expect(kinds(report), `as record ${seq}`).toContain('inserted');
      // The others are what they were.
      expect(new Set(report.problems.map((problem) => problem.seq))).toEqual(new Set([seq]));
    }
  });
});

it('finds two records that changed places', async () => {
  for (const seq of ALL.slice(1)) {
    const report = await tampered((stored) => {
      rowOf(stored, seq).seq = 0;
      rowOf(stored, seq - 1).seq = seq;
      rowOf(stored, 0).seq = seq - 1;
    });
    expect(kinds(report), `records ${seq - 1} and ${seq}`).toContain('edited');
  }
});

it('lists no more problems than it says, and counts the others', async () => {
  await writeStored(audit, intact);
  await audit.fill(250);
  const all = await readStored(audit);
  const report = await verifyTampered(audit, all, (stored) => {
    for (const row of stored.records) row.actor = 'user:mallory';
  });
  expect(report.problems).toHaveLength(100);
  expect(report.problems_total).toBe(RECORDS + 250);
});
