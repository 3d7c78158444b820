import { generateKeyPairSync, sign } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { auditCheckpointStatement, GENESIS_HASH } from '@drawbridge/protocol';
import type { AuditCheckpoint, AuditRecord } from '@drawbridge/protocol/api';
import { auditHash } from '@drawbridge/runtime/audit-crypto';
import { TempDir } from '@drawbridge/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyAuditFile } from './audit-file.ts';
import { UsageError } from './exit-codes.ts';

const RECORDS = 12;
const STRETCH = 6;
const AT = '2026-01-07T10:00:00.000Z';

let dir: TempDir;
const keys = generateKeyPairSync('ed25519');
const publicKey = keys.publicKey.export({ format: 'jwk' }).x ?? '';
beforeAll(async () => {
  dir = await TempDir.make();
});
afterAll(() => dir[Symbol.asyncDispose]());

/** A header, two stretches of records, each with its checkpoint. */
function exported(): string[] {
  const lines: unknown[] = [];
  let newest: AuditCheckpoint | undefined;
  let previousHash = GENESIS_HASH;
  for (let seq = 1; seq <= RECORDS; seq += 1) {
    const record = recordAfter(previousHash, seq);
    previousHash = record.hash;
    lines.push({ record });
    if (seq % STRETCH !== 0) continue;
    newest = checkpointAt(record);
    lines.push({ checkpoint: newest });
  }
  const format = 'drawbridge-audit/1';
  const header = { format, server_id: 'server-1', public_key: publicKey, exported_at: AT, newest };
  return [header, ...lines].map((line) => JSON.stringify(line));
}

async function verify(lines: readonly string[], key?: string, anchors: { seq: number; hash: string }[] = []) {
  const path = dir.join('export.ndjson');
  await writeFile(path, lines.map((line) => `${line}\n`).join(''));
  return verifyAuditFile(path, { key, anchors });
}

it('finds nothing wrong with an export that nobody has touched, with and without the key', async () => {
  const report = { ok: true, records: RECORDS, checkpoints: 2, first: 1, last: RECORDS, public_key: publicKey };
  expect(await verify(exported())).toMatchObject(report);
  expect(await verify(exported(), publicKey)).toMatchObject({ ...report, server_id: 'server-1', exported_at: AT });
});

describe('an export that somebody has touched', () => {
  it('is found by every line that is missing', async () => {
    for (let index = 1; index < exported().length; index += 1) {
      expect((await verify(exported().toSpliced(index, 1))).ok, `line ${index + 1}`).toBe(false);
    }
  });

  it('is found by every line that is there twice, or changed places', async () => {
    const lines = exported();
    for (let index = 1; index < lines.length; index += 1) {
      const line = lines[index] ?? '';
      expect((await verify(lines.toSpliced(index, 0, line))).ok, `line ${index + 1} twice`).toBe(false);
      const swapped = lines.toSpliced(index, 1).toSpliced(index - 1, 0, line);
      if (index > 1) expect((await verify(swapped)).ok, `line ${index + 1} first`).toBe(false);
    }
  });

  it('is found wherever it was cut off', async () => {
    for (let count = 1; count < exported().length; count += 1) {
      expect((await verify(exported().slice(0, count))).ok, `after line ${count}`).toBe(false);
    }
    const lines = exported();
    expect((await verify([...lines.slice(0, 5), (lines[5] ?? '').slice(0, 40)])).ok).toBe(false);
  });

  it('is found by every character of a record or a checkpoint', async () => {
    const lines = exported();
    for (const index of [3, STRETCH + 1]) {
      const line = lines[index] ?? '';
      for (let place = 0; place < line.length; place += 1) {
        const changed = `${line.slice(0, place)}${line[place] === '7' ? '8' : '7'}${line.slice(place + 1)}`;
        expect((await verify(lines.with(index, changed))).ok, `${place}: ${changed}`).toBe(false);
      }
    }
  });

  it('is found by a field that was added', async () => {
    const lines = exported();
    const changed = (lines[3] ?? '').replace('"seq":', '"approved":true,"seq":');
    expect((await verify(lines.with(3, changed))).problems).toMatchObject([{ seq: 3, kind: 'edited' }]);
  });

  it('and signed by somebody else is found by the key', async () => {
    const { publicKey: other } = generateKeyPairSync('ed25519');
    const report = await verify(exported(), other.export({ format: 'jwk' }).x);
    expect(report.problems.every(({ kind }) => kind === 'checkpoint_forged')).toBe(true);
    expect(report.ok).toBe(false);
  });

  it('is found by an anchor when it is an older one', async () => {
    const { record } = JSON.parse(exported()[RECORDS + 1] ?? '') as { record: AuditRecord };
    expect(await verify(exported(), publicKey, [record])).toMatchObject({ ok: true });
    const [header = '', ...lines] = exported().slice(0, STRETCH + 2);
    const { checkpoint } = JSON.parse(lines.at(-1) ?? '') as { checkpoint: AuditCheckpoint };
    const older = [JSON.stringify({ ...JSON.parse(header), newest: checkpoint }), ...lines];
    expect(await verify(older, publicKey)).toMatchObject({ ok: true });
    expect((await verify(older, publicKey, [record])).problems).toMatchObject([{ seq: RECORDS, kind: 'cut_off' }]);
  });
});

it('understands an export that begins after a sweep', async () => {
  const swept = { ...recordAfter(GENESIS_HASH, 1), seq: STRETCH };
  const base = { ...swept, hash: auditHash(swept) };
  const sweep = { ...recordAfter(base.hash, STRETCH + 1), verb: 'audit.sweep', details: { through_seq: STRETCH } };
  const record = { ...sweep, hash: auditHash(sweep) };
  const [first, second] = [checkpointAt(base), { ...checkpointAt(record, 1) }];
  const [header = ''] = exported();
  const lines = [{ checkpoint: first }, { record }, { checkpoint: second }].map((line) => JSON.stringify(line));
  const report = await verify([JSON.stringify({ ...JSON.parse(header), newest: second }), ...lines]);
  expect(report).toMatchObject({ ok: true, first: STRETCH + 1, last: STRETCH + 1 });
});

it.each([
  ['is empty', []],
  ['is something else', ['{"hello":"world"}']],
  ['is no JSON', ['hello']],
])('refuses a file that %s', async (_what, lines) => {
  await expect(verify(lines)).rejects.toThrow(UsageError);
});

it('refuses a key that is none, and a file that is not there', async () => {
  await expect(verify(exported(), 'no key')).rejects.toThrow(/--key/);
  await expect(verifyAuditFile(dir.join('gone'), { anchors: [] })).rejects.toThrow(UsageError);
});

function recordAfter(previousHash: string, seq: number): AuditRecord {
  const unhashed = {
    seq,
    id: `id-${seq}`,
    at: AT,
    actor: 'user:u1',
    actor_name: null,
    verb: 'agent.read',
    resource: 'agent:a1',
    agent_id: 'a1',
    address: null,
    request_id: null,
    result: 'allowed',
    reason: null,
    details: { count: seq },
    previous_hash: previousHash,
  } as const;
  return { ...unhashed, hash: auditHash(unhashed) };
}

function checkpointAt({ seq, hash }: AuditRecord, count = STRETCH): AuditCheckpoint {
  const unsigned = { seq, hash, at: AT, count };
  const statement = Buffer.from(auditCheckpointStatement('server-1', unsigned));
  return { ...unsigned, signature: sign(null, statement, keys.privateKey).toString('base64url') };
}
