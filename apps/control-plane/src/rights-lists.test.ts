import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { pingRun } from './bulk/bulk-fixture.ts';
import { ADMIN } from './control-plane-fixture.ts';
import { ASKERS, CUSTOM_ROLE, enter } from './rights-model-fixture.ts';
import { makeThings } from './rights-samples-fixture.ts';
import type { Things } from './rights-samples-fixture.ts';
import { RightsWorld } from './rights-world-fixture.ts';
import type { Env } from './rights-world-fixture.ts';

let world: RightsWorld;
/** Two agents of each environment. */
const things: Record<Env, Things[]> = { dev: [], prod: [] };
beforeAll(async () => {
  world = await RightsWorld.make();
  await world.nouns.roles.create({ ...CUSTOM_ROLE, description: '' }, ADMIN);
  await world.nouns.groups.create({ name: 'everything', selector: '', description: '' }, ADMIN);
  for (const env of ['dev', 'prod', 'dev', 'prod'] as const) things[env].push(await makeThings(world, env));
  for (const { agentId } of [...things.dev, ...things.prod]) {
    await world.nouns.audit.record({
      actor: 'system:system',
      actorName: null,
      verb: 'agent.read',
      resource: `agent:${agentId}`,
      agentId,
      address: null,
      requestId: null,
      result: 'allowed',
      reason: null,
      details: {},
    });
  }
  // One run over both: each sees their part of it.
  const agents = [things.dev[0]?.agentId ?? '', things.prod[0]?.agentId ?? ''];
  await world.nouns.bulkRuns.create(pingRun({ choice: { kind: 'agents', agents } }), ADMIN);
});
afterAll(() => world[Symbol.asyncDispose]());

const Items = z.object({ items: z.array(z.record(z.string(), z.unknown())) });

async function list(secret: string, path: string): Promise<Record<string, unknown>[]> {
  const headers = { host: '127.0.0.1:7400', authorization: `Bearer ${secret}` };
  const answer = await world.app.inject({ url: `/api/v1${path}`, headers });
  return Items.parse(answer.json()).items;
}

/** The environments each of these sees; whoever is not here gets no list at all (rights-matrix.test.ts). */
const SEES = {
  'a viewer': ['dev', 'prod'],
  'an admin': ['dev', 'prod'],
  'a viewer of dev': ['dev'],
  'an operator of dev': ['dev'],
  'an admin of dev': ['dev'],
  'a viewer who is an operator of dev': ['dev', 'prod'],
  'a token of an admin for two verbs': ['dev', 'prod'],
  'a token of an admin for dev': ['dev'],
  'a token of an operator of dev for prod': [],
} as const satisfies Record<string, readonly Env[]>;

const LISTS = {
  '/agents': ['id', 'agentId'],
  '/groups/everything/agents': ['id', 'agentId'],
  '/tasks': ['id', 'taskId'],
} as const satisfies Record<string, readonly [key: string, of: keyof Things]>;

const rows = Object.entries(SEES).flatMap(([who, envs]) =>
  Object.entries(LISTS).map(([path, [key, of]]) => ({ who, envs, path, key, of })),
);

it.each(rows)('$path shows $who what they may see, and no more', async ({ who, envs, path, key, of }) => {
  const shown = (await list(await secretOf(who), `${path}?limit=200`)).map((item) => String(item[key]));
  const inScope = envs.flatMap((env) => things[env].map((one) => one[of]));
  expect(shown.toSorted()).toEqual(inScope.toSorted());
});

it.each(rows.filter(({ path }) => path === '/agents'))(
  'no page of /agents is short for $who',
  async ({ who, envs }) => {
    const [first] = await list(await secretOf(who), '/agents?limit=1');
    expect(first === undefined).toBe(envs.length === 0);
  },
);

it.each(Object.entries(SEES))('a run over both shows %s their part of it, counts included', async (who, envs) => {
  const runs = await list(await secretOf(who), '/bulk-runs');
  const counts = runs.map(({ targets }) => z.object({ waiting: z.number() }).parse(targets).waiting);
  // Two runs of one target for each environment, and before them, because it is the newest, the one over both.
  const ofBoth = envs.length === 0 ? [] : [envs.length];
  expect(counts).toEqual([...ofBoth, ...envs.flatMap(() => [1, 1])]);
});

it('the audit log shows an admin of dev the records of its agents, and an admin all', async () => {
  const agentsIn = async (who: string) =>
    new Set((await list(await secretOf(who), '/audit?verb=agent.read')).map((record) => record['agent_id']));
  const dev = things.dev.map(({ agentId }) => agentId);
  expect(await agentsIn('an admin of dev')).toEqual(new Set(dev));
  expect(await agentsIn('an admin')).toEqual(new Set([...dev, ...things.prod.map(({ agentId }) => agentId)]));
  expect(await agentsIn('a token of an admin for dev')).toEqual(new Set(dev));
});

it('nobody sees the tokens or sessions of somebody else', async () => {
  const mine = await secretOf('a viewer');
  await secretOf('an operator');
  expect(await list(mine, '/sessions')).toEqual([expect.objectContaining({ current: true })]);
  expect(await list(mine, '/tokens')).toEqual([]);
});

function secretOf(who: string): Promise<string> {
  const asker = ASKERS.find((one) => one.who === who);
  if (asker === undefined) throw new Error(`nobody is ${who}`);
  return enter(world, asker);
}
