import { expect, it } from 'vitest';
import { AuditApi } from './audit.ts';
import { UnreachableError } from './errors.ts';
import type { ResponseLike } from './fetch.ts';
import { Http } from './http.ts';

const HASH = 'ab'.repeat(32);

/** Answers from a log of `newest` records, as the control plane does, and keeps what it was asked. */
function logOf(newest: number): { readonly audit: AuditApi; readonly asked: string[] } {
  const asked: string[] = [];
  const fetch = async (url: string): Promise<ResponseLike> => {
    asked.push(url.slice('http://control.test'.length));
    const query = new URLSearchParams(url.split('?')[1]);
    const first = Number(query.get('cursor') ?? newest + 1) - 1;
    const count = Math.min(first, Number(query.get('limit')));
    const items = Array.from({ length: count }, (_, index) => record(first - index));
    return answer(JSON.stringify({ items, next_cursor: first > count ? String(first - count + 1) : null }));
  };
  return { audit: new AuditApi(new Http({ url: 'http://control.test', fetch })), asked };
}

async function seqsOf(records: AsyncIterable<{ seq: number }>): Promise<number[]> {
  return (await Array.fromAsync(records)).map(({ seq }) => seq);
}

it('lists all records over as many pages as there are', async () => {
  const { audit, asked } = logOf(450);
  expect(await seqsOf(audit.list())).toEqual(Array.from({ length: 450 }, (_, index) => 450 - index));
  expect(asked).toHaveLength(3);
});

it('asks for no more than is wanted', async () => {
  const { audit, asked } = logOf(450);
  expect(await seqsOf(audit.list({ limit: 3, verb: 'task.run' }))).toEqual([450, 449, 448]);
  expect(asked).toEqual(['/api/v1/audit?limit=3&verb=task.run']);
  expect(await seqsOf(audit.list({ limit: 203 }))).toHaveLength(203);
  expect(asked.slice(1).map((path) => /limit=\d+/.exec(path)?.[0])).toEqual(['limit=200', 'limit=3']);
});

it('asks for what was done to one agent by its name', async () => {
  const { audit, asked } = logOf(1);
  await seqsOf(audit.activity('build/1', { result: 'denied' }));
  expect(asked).toEqual(['/api/v1/agents/build%2F1/activity?limit=200&result=denied']);
});

it('calls an export that breaks off by its name', async () => {
  async function* body(): AsyncGenerator<Uint8Array> {
    yield new TextEncoder().encode('{}\n');
    throw new Error('terminated');
  }
  const fetch = async (): Promise<ResponseLike> => ({ ...answer(''), body: body() });
  const chunks = new AuditApi(new Http({ url: 'http://control.test', fetch })).export();
  expect(await chunks.next()).toMatchObject({ done: false });
  await expect(chunks.next()).rejects.toThrow(UnreachableError);
});

function answer(text: string): ResponseLike {
  return { status: 200, headers: { get: () => null }, body: null, text: async () => text };
}

function record(seq: number) {
  const nothing = { actor_name: null, resource: null, agent_id: null, address: null, request_id: null, reason: null };
  const what = { actor: 'user:u1', verb: 'task.run', result: 'allowed', details: {} };
  return { seq, id: `id-${seq}`, at: '2026-01-07T10:00:00.000Z', ...what, ...nothing, previous_hash: HASH, hash: HASH };
}
