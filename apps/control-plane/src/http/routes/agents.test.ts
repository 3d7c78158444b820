import { AgentPage } from '@drawbridge/protocol/api';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { recordedLink } from '../../control-plane-fixture.ts';
import { RightsWorld } from '../../rights-world-fixture.ts';

let world: RightsWorld;
let admin: string;
let agentId: string;
beforeEach(async () => {
  world = await RightsWorld.make();
  admin = await world.signIn(await world.addUser('ann', [['admin', '']]));
  agentId = await world.addAgent('dev');
});
afterEach(() => world[Symbol.asyncDispose]());

async function list(query = '', secret = admin): Promise<AgentPage> {
  const headers = { host: '127.0.0.1:7400', authorization: `Bearer ${secret}` };
  const answer = await world.app.inject({ url: `/api/v1/agents${query}`, headers });
  return AgentPage.parse(answer.json());
}

async function ids(query = '', secret = admin): Promise<string[]> {
  return (await list(query, secret)).items.map(({ id }) => id);
}

async function change(method: 'POST' | 'PATCH' | 'DELETE', path: string, payload?: object): Promise<void> {
  const headers = { host: '127.0.0.1:7400', authorization: `Bearer ${admin}` };
  const answer = await world.app.inject({
    method,
    url: `/api/v1${path}`,
    headers,
    ...(payload === undefined ? {} : { payload }),
  });
  expect(answer.statusCode).toBeLessThan(300);
}

describe('a page of agents', () => {
  it('is believed for a second where nobody told of a change: it came from elsewhere', async () => {
    expect(await ids()).toEqual([agentId]);
    // Straight into the store.
    const other = await world.addAgent('prod');
    await world.clock.advance(999);
    expect(await ids()).toEqual([agentId]);
    await world.clock.advance(1);
    expect((await ids()).toSorted()).toEqual([agentId, other].toSorted());
  });

  it('shows at once that an agent was enrolled', async () => {
    await list();
    await change('POST', '/agents', { name: 'new' });
    expect((await list()).items).toMatchObject([{ id: agentId }, { name: 'new' }]);
  });

  it('shows at once that an agent was changed', async () => {
    await list();
    await change('PATCH', `/agents/${agentId}`, { name: 'renamed', labels: { env: 'prod' } });
    expect((await list()).items).toMatchObject([{ name: 'renamed', labels: { env: 'prod' } }]);
  });

  it('shows at once that an agent came, and that it went', async () => {
    expect((await list()).items).toMatchObject([{ status: 'offline' }]);
    const link = recordedLink({ agentId });
    world.nouns.presence.attach(link);
    expect((await list()).items).toMatchObject([{ status: 'online' }]);
    world.nouns.presence.detach(link);
    expect((await list()).items).toMatchObject([{ status: 'offline' }]);
  });

  it('of those online has nobody who went, once that is stored', async () => {
    const link = recordedLink({ agentId, epoch: await world.noteConnected(agentId) });
    world.nouns.presence.attach(link);
    expect(await ids('?status=online')).toEqual([agentId]);
    world.nouns.presence.detach(link);
    // Who asks just now may still see it in the store.
    expect(await ids('?status=online')).toEqual([agentId]);
    await world.nouns.reaper.linkGone(link);
    expect(await ids('?status=online')).toEqual([]);
  });

  it('shows an agent that was revoked no more', async () => {
    await list();
    await change('DELETE', `/agents/${agentId}`);
    expect(await ids()).toEqual([]);
  });

  it('is of those who may see the same agents, and of nobody else', async () => {
    const prod = await world.addAgent('prod');
    const viewer = await world.signIn(await world.addUser('bob', [['viewer', 'env=prod']]));
    expect(await ids()).toHaveLength(2);
    expect(await ids('', viewer)).toEqual([prod]);
    expect(await ids()).toHaveLength(2);
  });

  it('follows the rights of who asks at once', async () => {
    const userId = await world.addUser('bob', [['viewer', '']]);
    const viewer = await world.signIn(userId);
    expect(await ids('', viewer)).toEqual([agentId]);
    await change('PATCH', `/users/${userId}`, { roles: [{ role: 'viewer', selector: 'env=prod' }] });
    expect(await ids('', viewer)).toEqual([]);
  });

  it('is of one question: limit, cursor, selector and status', async () => {
    const prod = await world.addAgent('prod');
    const [dev] = (await list('?selector=env%3Ddev')).items;
    expect(await ids()).toEqual([agentId, prod]);
    expect(await ids('?limit=1')).toEqual([agentId]);
    expect(await ids(`?cursor=${dev?.name}`)).toEqual([prod]);
    expect(await ids('?selector=env%3Dprod')).toEqual([prod]);
    expect(await ids('?status=online')).toEqual([]);
    expect(await ids('?status=offline')).toEqual([agentId, prod]);
  });
});
