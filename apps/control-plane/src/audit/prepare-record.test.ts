import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AuditDetails } from './audit-details.ts';
import { AuditFixture, entry } from './audit-fixture.ts';
import { REFUSED, prepareRecord } from './prepare-record.ts';
import { readStored } from './tampering-fixture.ts';

const AT = '2026-01-07T10:00:00.000Z';
const CANARY = 'CANARY0123456789abcdefghijklmnopqrstuvwxyzA';
/** Each with the canary in it, as somebody might let it slip. */
const SECRETS = [
  `dbt_${CANARY}`,
  `dbj_019b.${CANARY}.fingerprint`,
  `dbk_${CANARY}`,
  `dbs_${CANARY}`,
  `token=dbt_${CANARY}, please`,
  `xdbt_${CANARY}`,
  CANARY,
  `code ${CANARY}`,
  `Bearer ${CANARY}`,
  `https://ada:${CANARY}@proxy.example.com`,
  `eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.${CANARY}`,
  `-----BEGIN PRIVATE KEY-----\n${CANARY}\n-----END PRIVATE KEY-----`,
];
const TEXT_FIELDS = ['actor', 'actorName', 'verb', 'resource', 'agentId', 'address', 'requestId', 'reason'] as const;

const prepared = (more: Parameters<typeof entry>[0]) => prepareRecord(entry(more), 'id', AT);
/** As a caller who casts. */
const details = (given: Record<string, unknown>) => prepared({ details: given }).details;

describe('a secret', () => {
  let audit: AuditFixture;
  beforeEach(async () => {
    audit = await AuditFixture.make();
  });
  afterEach(() => audit[Symbol.asyncDispose]());

  it('is in no stored row, wherever it was planted', async () => {
    for (const secret of SECRETS) {
      await Promise.all(TEXT_FIELDS.map((field) => audit.log.record(entry({ [field]: secret }))));
      await audit.log.record(entry({ details: { name: secret, from: `now ${secret}` } }));
    }
    const planted = { password: CANARY, instructions: CANARY, name: { nested: CANARY } } as unknown as AuditDetails;
    await audit.log.record(entry({ details: planted }));
    const stored = JSON.stringify(await readStored(audit));
    expect(stored).not.toContain('CANARY');
    expect(stored.split(REFUSED)).toHaveLength(SECRETS.length * (TEXT_FIELDS.length + 2) + 1);
  });

  it('that stands where text is cut off is refused whole', () => {
    expect(prepared({ reason: `${'x '.repeat(230)}dbt_${CANARY}` }).reason).toBe(REFUSED);
  });
});

it.each([
  ['a UUID', '019b6e8e-19ec-7716-b227-c2b831f88edd'],
  ['a resource', 'agent:019b6e8e-19ec-7716-b227-c2b831f88edd'],
  ['a SHA-256', 'ab'.repeat(32)],
  ['a long name', 'a-machine-in-the-cellar-of-the-old-house'],
  ['a sentence', 'the role viewer does not give task.run on agent build-1, whose labels are site=lab'],
  ['a selector', 'site=lab,tier!=prod'],
])('leaves %s as it is', (_what, text) => {
  expect(prepared({ reason: text, details: { name: text } })).toMatchObject({ reason: text, details: { name: text } });
});

describe('details', () => {
  it('that are not on the list are left out and counted', () => {
    expect(details({ provider: 'shell', password: 'x', prompt: 'y' })).toEqual({ provider: 'shell', left_out: 2 });
  });

  it('that are no scalars are left out', () => {
    expect(details({ name: { a: 1 }, labels: ['a'], count: Number.NaN, epoch: undefined, port: 22 })).toEqual({
      port: 22,
      left_out: 4,
    });
  });

  it('stay as they are when they are scalars', () => {
    const given = { name: 'x', count: 1.5, queue_if_offline: false, group: null };
    expect(details(given)).toEqual(given);
  });

  it('are cut, each and together', () => {
    const long = 'word '.repeat(100);
    expect(details({ name: long })).toEqual({ name: `${long.slice(0, 199)}…` });
    const many = details(Object.fromEntries(Array.from('abcdefghijklmnop', (_, index) => [LONG_KEYS[index], long])));
    expect(JSON.stringify(many).length).toBeLessThan(2_100);
    expect(many['left_out']).toBeGreaterThan(0);
  });
});

it('cuts every field to what its column holds', () => {
  const long = 'word '.repeat(500);
  const record = prepared(Object.fromEntries(TEXT_FIELDS.map((field) => [field, long])));
  const lengths = Object.fromEntries(
    Object.entries(record).map(([key, value]) => [key, typeof value === 'string' ? value.length : 0]),
  );
  expect(lengths).toMatchObject({ actor: 255, actor_name: 255, verb: 64, resource: 255, agent_id: 255 });
  expect(lengths).toMatchObject({ address: 64, request_id: 64, reason: 500 });
});

it('stores no text that a database or UTF-8 cannot hold', () => {
  expect(prepared({ reason: 'a\u0000b\ud800c' }).reason).toBe('a\ufffdb\ufffdc');
});

const LONG_KEYS = [
  'agent_name',
  'from',
  'group',
  'labels',
  'method',
  'mode',
  'model',
  'name',
  'operation',
  'provider',
  'role',
  'roles',
  'route',
  'selector',
  'state',
  'to',
];
