import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ServerIdentity } from '../identity/server-identity.ts';
import { AuditRepository } from '../store/audit-repository.ts';
import { AuditChainEnd } from './audit-chain-end.ts';
import { AuditFixture } from './audit-fixture.ts';
import { ALL, RECORDS, SIGNED, STRETCH, TamperedLog, edited, kinds, rowOf } from './tampered-log-fixture.ts';
import { writeStored } from './tampering-fixture.ts';
import type { StoredLog } from './tampering-fixture.ts';

let log: TamperedLog;
let audit: AuditFixture;
let intact: StoredLog;
beforeAll(async () => {
  log = await TamperedLog.make();
  ({ audit, intact } = log);
});
afterAll(() => log[Symbol.asyncDispose]());

const tampered = (tamper: (stored: StoredLog) => void) => log.verify(tamper);

describe('a chain that was cut off', () => {
  const cut = (stored: StoredLog, last: number) => {
    stored.records = stored.records.filter(({ seq }) => seq <= last);
  };
  /** The head agrees with what is left. */
  const moveHead = (stored: StoredLog) => {
    const { seq = 0, hash = '0'.repeat(64) } = stored.records.at(-1) ?? {};
    for (const head of stored.head) Object.assign(head, { seq, hash });
  };

  it('is found by its head, wherever it was cut', async () => {
    for (const last of [0, ...ALL.slice(0, -1)]) {
      const report = await tampered((stored) => cut(stored, last));
      expect(kinds(report), `behind record ${last}`).toContain('cut_off');
    }
  });

  it('is found by the checkpoints when the head agrees', async () => {
    for (const last of [0, ...ALL].filter((seq) => seq < SIGNED)) {
      const report = await tampered((stored) => {
        cut(stored, last);
        moveHead(stored);
      });
      expect(kinds(report), `behind record ${last}`).toContain('cut_off');
    }
  });

  it('is found by the head when the checkpoints are gone too', async () => {
    for (const last of [0, ...ALL].filter((seq) => seq < SIGNED)) {
      const report = await tampered((stored) => {
        cut(stored, last);
        moveHead(stored);
        stored.checkpoints = stored.checkpoints.filter(({ seq }) => seq <= last);
      });
      expect(kinds(report), `behind record ${last}`).toContain('checkpoint_removed');
    }
  });

  it('without a trace is found by an anchor, and by the process that wrote it', async () => {
    const { seq, hash } = rowOf(intact, SIGNED);
    for (const last of [0, ...ALL].filter((one) => one < SIGNED)) {
      const report = await tampered((stored) => {
        cut(stored, last);
        moveHead(stored);
        stored.checkpoints = stored.checkpoints.filter((one) => one.seq <= last);
        for (const head of stored.head) head.checkpoint_seq = stored.checkpoints.at(-1)?.seq ?? 0;
      });
      expect(report.ok).toBe(true);
      expect(kinds(await audit.newLog().verify([{ seq, hash }])), `behind record ${last}`).toEqual(['cut_off']);
      expect(kinds(await audit.log.verify())).toEqual(['cut_off']);
    }
  });

  it('is found when everything was deleted but the head', async () => {
    const report = await tampered((stored) => {
      stored.records = [];
      stored.checkpoints = [];
    });
    expect(kinds(report)).toContain('cut_off');
  });

  it('is found when the head was deleted', async () => {
    const report = await tampered((stored) => {
      stored.head = [];
    });
    expect(report.ok).toBe(false);
  });
});

describe('a checkpoint', () => {
  it.each(['hash', 'at', 'count', 'signature'] as const)('is found when its %s was edited', async (column) => {
    for (const index of [0, 1]) {
      const report = await tampered((stored) => {
        const row = stored.checkpoints[index];
        if (row !== undefined) Object.assign(row, { [column]: edited(row, column) });
      });
      expect(kinds(report)).toContain('checkpoint_forged');
    }
  });

  it('is found when it was moved to another record', async () => {
    const report = await tampered((stored) => {
      for (const row of stored.checkpoints) row.seq -= 1;
    });
    expect(kinds(report)).toContain('checkpoint_forged');
  });

  it('is found missing, the first as well as the last', async () => {
    for (const index of [0, 1]) {
      const report = await tampered((stored) => stored.checkpoints.splice(index, 1));
      expect(kinds(report)).toEqual(['checkpoint_removed']);
    }
  });

  it('of another key is forged, though it fits', async () => {
    const other = await AuditFixture.make();
    const { privateKey } = other.identity;
    await other[Symbol.asyncDispose]();
    await writeStored(audit, intact);
    const mallory = new ServerIdentity(audit.identity.serverId, privateKey);
    await audit.db.transaction().execute(async (trx) => {
      const end = await AuditChainEnd.lock(new AuditRepository(trx));
      await end.checkpoint(mallory, '2026-01-07T10:00:00.000Z');
    });
    expect(await audit.newLog().verify()).toMatchObject({
      problems: [{ seq: RECORDS, kind: 'checkpoint_forged' }],
    });
  });
});

it.each([
  ['seq', RECORDS + 1, 'cut_off'],
  ['seq', RECORDS - 1, 'inserted'],
  ['hash', 'ab'.repeat(32), 'rewritten'],
  ['checkpoint_seq', STRETCH, 'checkpoint_removed'],
])('finds that the %s of the head was set to %s', async (column, value, kind) => {
  const report = await tampered((stored) => {
    for (const head of stored.head) Object.assign(head, { [column]: value });
  });
  expect(kinds(report)).toEqual([kind]);
});
