import { FakeClock, settle } from '@drawbridge/testkit';
import { BULK_TARGET_STATES } from '@drawbridge/protocol/api';
import { expect, it } from 'vitest';
import { BulkRunsApi } from './bulk-runs.ts';
import type { FetchLike } from './fetch.ts';
import { GroupsApi } from './groups.ts';
import { Http } from './http.ts';
import type { RetryOptions } from './retrying.ts';

const TIMES = { created_at: '2026-01-07T10:00:00.000Z', updated_at: '2026-01-07T10:00:00.000Z' };
const GROUP = { id: 'g1', name: 'lab', selector: 'site=lab', description: '', ...TIMES };
const TARGET = {
  position: 0,
  agent_id: 'a1',
  agent_name: 'a',
  command_id: null,
  task_id: null,
  error: null,
  started_at: null,
  ended_at: null,
};

interface Asked {
  readonly line: string;
  readonly body: unknown;
  readonly key: string | undefined;
}

/** A control plane that answers one request after the other with these; a number is an error of that status. */
function fake(answers: readonly unknown[]) {
  const left = [...answers];
  const asked: Asked[] = [];
  const fetch: FetchLike = async (url, { method, body, headers }) => {
    await settle();
    asked.push({
      line: `${method} ${url.replace('http://c', '')}`,
      body: body === undefined ? undefined : JSON.parse(body),
      key: headers['idempotency-key'],
    });
    const answer = left.shift();
    const status = typeof answer === 'number' ? answer : 200;
    const text = typeof answer === 'number' ? { code: 'server_draining', message: 'away' } : answer;
    return { status, headers: new Headers(), body: null, text: () => Promise.resolve(JSON.stringify(text)) };
  };
  return { http: new Http({ url: 'http://c', token: 't', fetch }), asked };
}

function patience(): { clock: FakeClock; retry: RetryOptions } {
  const clock = new FakeClock();
  return {
    clock,
    retry: { sleep: (ms, signal) => clock.sleep(ms, signal), nowMs: () => clock.monotonic(), patienceMs: 60_000 },
  };
}

/** Lets time pass until `work` is done. */
async function run<T>(clock: FakeClock, work: Promise<T>): Promise<T> {
  const over = new AbortController();
  void work.catch(() => undefined).then(() => over.abort());
  for (let step = 0; !over.signal.aborted && step < 100; step += 1) await clock.advance(1_000);
  return work;
}

function runView(counts: Record<string, number>, isEnded = false) {
  const zeros = Object.fromEntries(BULK_TARGET_STATES.map((state) => [state, 0]));
  return {
    id: 'r/1',
    state: isEnded ? 'succeeded' : 'running',
    group: 'lab',
    selector: 'site=lab',
    operation: 'agent.ping',
    provider: null,
    mode: null,
    model: null,
    timeout_seconds: 60,
    queue_if_offline: false,
    ttl_seconds: 60,
    concurrency: 10,
    failures_max: null,
    created_by: 'user:u1',
    created_at: TIMES.created_at,
    ended_at: isEnded ? TIMES.created_at : null,
    targets: { ...zeros, ...counts },
  };
}

const pageOf = (...items: unknown[]) => ({ items, next_cursor: null });

it('makes a run once, over a control plane that is away, by one key', async () => {
  const { http, asked } = fake([503, runView({ waiting: 1 })]);
  const { clock, retry } = patience();
  const made = new BulkRunsApi(http).create({ group: 'lab', operation: 'agent.ping', failuresMax: 0 }, retry);
  expect(await run(clock, made)).toMatchObject({ id: 'r/1' });
  expect(asked.map(({ line }) => line)).toEqual(['POST /api/v1/bulk-runs', 'POST /api/v1/bulk-runs']);
  expect(asked[0]?.body).toEqual({ group: 'lab', operation: 'agent.ping', failures_max: 0 });
  expect(asked[0]?.key).toMatch(/^[0-9a-f-]{36}$/);
  expect(asked[1]?.key).toBe(asked[0]?.key);
});

it('follows a run: its targets now and after each change, until it has ended', async () => {
  const waiting = runView({ waiting: 1 });
  const ended = runView({ succeeded: 1 }, true);
  const first = pageOf({ ...TARGET, state: 'waiting' });
  const last = pageOf({ ...TARGET, state: 'succeeded' });
  const { http, asked } = fake([waiting, first, waiting, 503, ended, last]);
  const { clock, retry } = patience();
  const told = await run(clock, Array.fromAsync(new BulkRunsApi(http).follow('r/1', { retry })));
  expect(told.map(({ targets }) => targets.map(({ state }) => state))).toEqual([['waiting'], ['succeeded']]);
  expect(asked.at(-1)?.line).toBe('GET /api/v1/bulk-runs/r%2F1/targets?limit=500');
  expect(clock.pending).toBe(0);
});

it('reads every page of groups, and of their agents', async () => {
  const { http, asked } = fake([{ items: [GROUP], next_cursor: 'lab' }, pageOf({ ...GROUP, name: 'prod' }), pageOf()]);
  const groups = new GroupsApi(http);
  expect((await groups.list()).map(({ name }) => name)).toEqual(['lab', 'prod']);
  expect(await groups.agents('a b')).toEqual([]);
  expect(asked.map(({ line }) => line)).toEqual([
    'GET /api/v1/groups?limit=200',
    'GET /api/v1/groups?limit=200&cursor=lab',
    'GET /api/v1/groups/a%20b/agents?limit=200',
  ]);
});
