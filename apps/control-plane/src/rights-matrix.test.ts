import type { Verb } from '@drawbridge/protocol/api';
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADMIN } from './control-plane-fixture.ts';
import { ASKERS, CUSTOM_ROLE, enter, expected } from './rights-model-fixture.ts';
import type { Verdict } from './rights-model-fixture.ts';
import { SAMPLES, ask, makeThings, nothing } from './rights-samples-fixture.ts';
import type { Answer, Sample, SampleRequest, Things } from './rights-samples-fixture.ts';
import { RightsWorld } from './rights-world-fixture.ts';
import type { Env } from './rights-world-fixture.ts';

const ENVS = ['dev', 'prod'] as const;
const STATUS = { unauthenticated: 401, forbidden: 403, missing: 404 } as const;

let world: RightsWorld;
let things: Record<Env, Things>;
beforeAll(async () => {
  world = await RightsWorld.make();
  await world.nouns.roles.create({ ...CUSTOM_ROLE, description: '' }, ADMIN);
  things = { dev: await makeThings(world, 'dev'), prod: await makeThings(world, 'prod') };
});
afterAll(() => world[Symbol.asyncDispose]());

interface Case {
  readonly key: string;
  readonly sample: Sample;
  readonly verb: Verb;
  readonly env: Env;
}

/** Every route, about an agent of each environment where it is about one. */
function cases(): Case[] {
  return Object.entries(SAMPLES).flatMap(([key, sample]) => {
    const verb = key === 'GET /metrics' ? 'metrics.read' : world.routes.find((route) => keyOf(route) === key)?.verb;
    if (verb === undefined) throw new Error(`${key} names no verb`);
    const isAboutAgents = !['server', 'own', 'token', 'feed'].includes(sample.about);
    return (isAboutAgents ? ENVS : (['dev'] as const)).map((env) => ({ key, sample, verb, env }));
  });
}

describe.each(ASKERS)('$who', (asker) => {
  it('is answered by every route as SECURITY.md says', async () => {
    let secret: string | undefined;
    const wrong: string[] = [];
    for (const one of cases()) {
      secret ??= await enter(world, asker);
      const verdict = expected(asker, one.sample, one);
      const problem = await problemOf(one, { secret, verdict });
      if (problem !== undefined) wrong.push(`${one.key} (${one.env}): ${verdict} expected, but ${problem}`);
      if (one.sample.ends === 'sign-in') secret = undefined;
    }
    expect(wrong).toEqual([]);
  });
});

/** What is wrong with the answer; undefined when it is what the verdict wants. */
async function problemOf({ key, sample, env }: Case, { secret, verdict }: { secret: string; verdict: Verdict }) {
  const method = methodOf(key);
  const about = sample.ends === 'agent' ? await makeThings(world, env) : things[env];
  const answer = await ask(world, method, await sample.request(about, world, env), { secret, things: about });
  if (answer.status !== (verdict === 'done' ? sample.status : STATUS[verdict]))
    return `${answer.status} ${answer.body}`;
  return verdict === 'missing' && sample.about !== 'token' ? differenceToNothing(answer) : undefined;

  /** What may not be seen is answered to the letter like what is not there. */
  async function differenceToNothing(seen: Answer): Promise<string | undefined> {
    const none = nothing();
    const { body } = await ask(world, method, await sample.request(none, world, env), { secret, things: none });
    return body === seen.body ? undefined : `${seen.body} is not ${body}`;
  }
}

function methodOf(key: string): 'GET' {
  return key.split(' ', 1)[0] as 'GET';
}

function keyOf({ method, path }: { method: string; path: string }): string {
  return `${method} ${path}`;
}

/** Requests that are wrong in themselves, or are told apart from others only when they are looked into. */
const PROBES: readonly (readonly [
  what: string,
  method: 'GET' | 'POST' | 'PATCH',
  request: (things: Things) => SampleRequest,
])[] = [
  ['an operation that there is not', 'POST', (of) => command(of, { operation: 'agent.fly' })],
  ['an operation that has a route', 'POST', (of) => command(of, { operation: 'task.start' })],
  ['parameters that are wrong', 'POST', (of) => command(of, { operation: 'agent.ping', params: { surprise: 1 } })],
  ['an operation while it is away', 'POST', (of) => command(of, { operation: 'agent.ping' })],
  ['its tasks by a filter', 'GET', ({ agentId }) => ({ url: `/tasks?agent=${agentId}` })],
  ['its records by a filter', 'GET', ({ agentId }) => ({ url: `/audit?agent=${agentId}` })],
  ['its targets of a run', 'GET', ({ runId }) => ({ url: `/bulk-runs/${runId}/targets?state=waiting` })],
  ['a run with an operation that there is not', 'POST', (of) => bulkRun(of, { operation: 'agent.fly' })],
  ['a run of a task', 'POST', (of) => bulkRun(of, { provider: 'shell', instructions: 'true' })],
  ['a task of a provider that there is not', 'POST', (of) => task(of, { provider: 'nope', queue_if_offline: true })],
  ['a task while it is away', 'POST', (of) => task(of, { provider: 'shell' })],
  ['a task under a key', 'POST', (of) => ({ ...task(of, { provider: 'shell' }), headers: { 'idempotency-key': 'k' } })],
  ['a name that is taken', 'PATCH', ({ agentId }) => ({ url: `/agents/${agentId}`, payload: { name: 'taken' } })],
  ['labels without end', 'PATCH', ({ agentId }) => ({ url: `/agents/${agentId}`, payload: { labels: MANY_LABELS } })],
];
const MANY_LABELS = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`l${index}`, 'x']));

describe.each(ASKERS.filter(({ roles }) => roles.length === 1 && roles[0]?.[1] === 'dev'))('$who', (asker) => {
  it.each(PROBES)('cannot tell an agent of prod from none by %s', async (_what, method, request) => {
    const secret = await enter(world, asker);
    const none = nothing();
    const seen = await ask(world, method, request(things.prod), { secret, things: things.prod });
    expect(seen).toEqual(await ask(world, method, request(none), { secret, things: none }));
  });

  it.each(['/agents/NAME', '/agents/NAME/config', '/tasks?agent=NAME'])(
    'cannot tell one by its name, by %s',
    async (path) => {
      const secret = await enter(world, asker);
      const get = (agent: string) =>
        ask(world, 'GET', { url: path.replace('NAME', agent) }, { secret, things: { ...nothing(), agentId: agent } });
      const { name } = await world.nouns.agents.find(things.prod.agentId);
      expect(await get(name)).toEqual(await get('nobody-is-called-so'));
    },
  );
});

describe('the command of a task', () => {
  it('is read and cancelled by nobody who could not read or cancel the task itself', async () => {
    const role = { name: 'commander', description: '', verbs: ['agent.read', 'agent.command'] as const };
    await world.nouns.roles.create(role, ADMIN);
    const { agentId } = things.dev;
    const { taskId, commandId } = await world.addTask(agentId);
    const about = { secret: '', things: nothing() };
    const asked = async (who: string, method: 'GET' | 'POST', url: string) => {
      const secret = await world.signIn(await world.addUser(`${who}-${randomUUID().slice(0, 8)}`, [[who, '']]));
      return (await ask(world, method, { url }, { ...about, secret })).status;
    };
    const [read, cancel] = [`/commands/${commandId}`, `/commands/${commandId}/cancel`];
    expect(await asked('commander', 'GET', `/commands/${things.dev.commandId}`)).toBe(200);
    expect(await asked('commander', 'GET', read)).toBe(404);
    expect(await asked('commander', 'POST', cancel)).toBe(404);
    expect((await world.nouns.tasks.get(taskId)).state).toBe('queued');
    expect(await asked('viewer', 'GET', read)).toBe(200);
    expect(await asked('viewer', 'POST', cancel)).toBe(403);
    expect(await asked('operator', 'POST', cancel)).toBe(200);
  });
});

function command({ agentId }: Things, payload: Record<string, unknown>): SampleRequest {
  return { url: `/agents/${agentId}/commands`, payload };
}

function bulkRun({ agentId }: Things, payload: Record<string, unknown>): SampleRequest {
  return { url: '/bulk-runs', payload: { ...payload, agent_ids: [agentId] } };
}

function task({ agentId }: Things, payload: Record<string, unknown>): SampleRequest {
  return { url: '/tasks', payload: { ...payload, instructions: 'true', agent_id: agentId } };
}
