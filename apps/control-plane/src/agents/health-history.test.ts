import { LIMITS } from '@drawbridge/protocol';
import { eventually } from '@drawbridge/testkit';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ControlPlaneFixture } from '../control-plane-fixture.ts';
import { HealthHistory } from './health-history.ts';

const MINUTE_MS = 60_000;
const HEALTH = {
  rtt_ms: 12,
  load: [0.5, 0.4, 0.3],
  cpu: 0.25,
  memory: { total_bytes: 8_589_934_592, available_bytes: 4_294_967_296, rss_bytes: 1 },
  bandwidth: { received_bytes_per_second: 10, sent_bytes_per_second: 20.5 },
  tasks_running: 2,
};

let control: ControlPlaneFixture;
let stop: AbortController;
let running: Promise<void>;
let history: HealthHistory;
beforeEach(async () => {
  control = await ControlPlaneFixture.make();
  stop = new AbortController();
  history = start(1);
});
afterEach(async () => {
  stop.abort(new Error('the test is over'));
  await running;
  await control[Symbol.asyncDispose]();
});

function start(retentionHours: number): HealthHistory {
  const { db, presence, log } = control.parts;
  const made = new HealthHistory({ db, presence, log, clock: control.clock, retentionHours });
  running = Promise.resolve();
  return made;
}

/** As much time as the history sees pass, round by round. */
async function pass(minutes: number): Promise<void> {
  for (let round = 0; round < minutes * 4; round += 1) {
    await control.clock.advance(MINUTE_MS / 4);
    await history.sample();
  }
}

function list(agentId: string, more: { since?: string; until?: string; after?: string; limit?: number } = {}) {
  return history.list({ agentId, since: undefined, until: undefined, after: undefined, limit: 1_000, ...more });
}

it('writes down each agent that is there every five minutes, and what it said', async () => {
  const agentId = await control.addAgent();
  const link = await control.attach(agentId, { health: HEALTH });
  await pass(5);
  expect(await list(agentId)).toEqual([
    {
      at: expect.any(String),
      cpu: 0.25,
      load: 0.5,
      memory_total_bytes: 8_589_934_592,
      memory_available_bytes: 4_294_967_296,
      received_bytes_per_second: 10,
      sent_bytes_per_second: 20.5,
      rtt_ms: 12,
      tasks_running: 2,
    },
  ]);
  link.health = {};
  await pass(5);
  expect(await list(agentId)).toMatchObject([{ cpu: 0.25 }, { cpu: null, tasks_running: null }]);
  await control.disconnect(link);
  await pass(10);
  expect(await list(agentId)).toHaveLength(2);
});

it('gives what is asked for, the oldest first', async () => {
  const agentId = await control.addAgent();
  await control.attach(agentId, { health: HEALTH });
  await control.attach(await control.addAgent(), { health: HEALTH });
  await pass(20);
  const ats = (await list(agentId)).map(({ at }) => at);
  expect(ats).toHaveLength(4);
  expect(ats).toEqual(ats.toSorted());
  const between = await list(agentId, { since: ats[1] ?? '', until: ats[3] ?? '' });
  expect(between.map(({ at }) => at)).toEqual(ats.slice(1, 3));
  expect((await list(agentId, { after: ats[0] ?? '', limit: 2 })).map(({ at }) => at)).toEqual(ats.slice(1, 3));
});

it('spreads many agents over the five minutes, and writes many with one statement', async () => {
  const links = Array.from({ length: 4_000 }, (_link, index) => ({ agentId: `agent-${index}`, health: HEALTH }));
  const { db, log } = control.parts;
  const { clock } = control;
  const rows: number[] = [];
  const presence = { links: () => links as unknown as ReturnType<typeof control.parts.presence.links> };
  history = new HealthHistory({ db, presence, clock, log, retentionHours: 1 });
  let before = 0;
  for (let round = 0; round < 20; round += 1) {
    await control.clock.advance(MINUTE_MS / 4);
    await history.sample();
    const { count } = await db
      .selectFrom('agent_health')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow();
    rows.push(count - before);
    before = count;
  }
  expect(before).toBe(links.length);
  expect(Math.max(...rows)).toBeLessThan(LIMITS.rowsPerStatementMax);
});

it('forgets what is older than it is told to keep, however much that is', async () => {
  const agentId = await control.addAgent();
  const link = await control.attach(agentId, { health: HEALTH });
  await pass(90);
  const ats = (await list(agentId)).map(({ at }) => at);
  // One every five minutes of an hour; a thirteenth that is an hour old to the moment.
  expect([12, 13]).toContain(ats.length);
  expect(Date.parse(ats[0] ?? '')).toBeGreaterThanOrEqual(control.clock.now() - 60 * MINUTE_MS);
  await control.disconnect(link);
  await control.clock.advance(100 * 60 * MINUTE_MS);
  await history.sample();
  expect(await list(agentId)).toEqual([]);
});

it('keeps nothing when it is told to keep nothing', async () => {
  history = start(0);
  const agentId = await control.addAgent();
  await control.attach(agentId, { health: HEALTH });
  await pass(6);
  expect(await list(agentId)).toEqual([]);
});

it('goes on when the store fails, and ends when it is told to', async () => {
  running = history.run(stop.signal);
  const agentId = await control.addAgent();
  await control.attach(agentId, { health: { ...HEALTH, cpu: Symbol('no column takes this') as unknown as number } });
  const warnings = () => control.parts.lines.filter(({ msg }) => msg === 'health of agents not written').length;
  await eventually(
    async () => {
      await control.clock.advance(MINUTE_MS / 4);
      return warnings() >= 2;
    },
    { what: 'two samples to fail' },
  );
  stop.abort(new Error('the test is over'));
  await running;
  expect(control.clock.pending).toBe(0);
});
