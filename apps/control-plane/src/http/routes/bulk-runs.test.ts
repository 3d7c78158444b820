import { BulkRunView, GroupView } from '@drawbridge/protocol/api';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AgentService } from '../../agents/agent-service.ts';
import { BulkFixture } from '../../bulk/bulk-fixture.ts';
import { ADMIN } from '../../control-plane-fixture.ts';
import { Groups } from '../../groups/groups.ts';
import { PeopleFixture } from '../../operators/people-fixture.ts';
import { AppFixture } from '../app-fixture.ts';
import { bulkRunRoutes } from './bulk-runs.ts';
import { groupRoutes } from './groups.ts';

/** Who asks: an admin, a viewer, an operator of the lab, and somebody without a role. */
type Who = 'admin' | 'viewer' | 'lab' | 'nobody';
const PING = { operation: 'agent.ping', queue_if_offline: true };

let bulk: BulkFixture;
let server: AppFixture;
let sessions: Readonly<Record<Who, string>>;
beforeEach(async () => {
  const people = await PeopleFixture.make();
  bulk = await BulkFixture.over(people.control);
  server = await serve(people);
  sessions = {
    admin: await server.session('ann', 'admin'),
    viewer: await server.session('vera', 'viewer'),
    lab: await server.session('lars', 'operator', 'site=lab'),
    nobody: await withoutRole(people),
  };
  await bulk.addAgent('a-lab', { site: 'lab' });
  await bulk.addAgent('b-home', { site: 'home' });
});
afterEach(async () => {
  await bulk[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

async function ask(method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, as: Who, payload?: object) {
  const response = await server.ask(method, path, sessions[as], payload === undefined ? {} : { payload });
  const body: unknown = response.body === '' ? undefined : JSON.parse(response.body);
  return { status: response.statusCode, body };
}

async function made(as: Who, payload: object): Promise<BulkRunView> {
  const { status, body } = await ask('POST', '/bulk-runs', as, payload);
  expect({ status, body }).toMatchObject({ status: 201 });
  return BulkRunView.parse(body);
}

describe('groups', () => {
  it('are changed by who looks after them, and seen by whoever may see agents', async () => {
    const payload = { name: 'lab', selector: 'site=lab' };
    expect(await ask('POST', '/groups', 'viewer', payload)).toMatchObject({ status: 403 });
    const { status, body } = await ask('POST', '/groups', 'admin', payload);
    expect(status).toBe(201);
    const { id } = GroupView.parse(body);
    expect(await ask('GET', '/groups/lab', 'viewer')).toMatchObject({ status: 200, body: { id } });
    expect(await ask('GET', '/groups', 'nobody')).toMatchObject({ status: 403 });
    expect(await ask('PATCH', `/groups/${id}`, 'lab', { selector: '' })).toMatchObject({ status: 403 });
    expect(await ask('DELETE', `/groups/${id}`, 'admin')).toMatchObject({ status: 204 });
    expect(await ask('GET', '/groups/lab', 'viewer')).toMatchObject({ status: 404, body: { code: 'group_not_found' } });
  });

  it('show only those of their agents that the caller may see', async () => {
    await ask('POST', '/groups', 'admin', { name: 'all', selector: '' });
    const names = async (as: Who) => namesOf((await ask('GET', '/groups/all/agents', as)).body);
    expect(await names('viewer')).toEqual(['a-lab', 'b-home']);
    expect(await names('lab')).toEqual(['a-lab']);
  });

  it('are recorded when they change, with what they select', async () => {
    await ask('POST', '/groups', 'admin', { name: 'lab', selector: 'site=lab' });
    await ask('PATCH', '/groups/lab', 'admin', { selector: 'site=home' });
    const { records } = await bulk.parts.audit.list({ filter: { verb: 'admin.groups' }, limit: 10 });
    expect(records.map(({ details }) => details)).toMatchObject([
      { group: 'lab', from: 'site=lab', to: 'site=home' },
      { group: 'lab', selector: 'site=lab' },
    ]);
  });
});

describe('bulk runs', () => {
  it('take a group, and say in the record for whom and how many', async () => {
    await ask('POST', '/groups', 'admin', { name: 'lab', selector: 'site=lab' });
    const run = await made('lab', { group: 'lab', ...PING });
    expect(run).toMatchObject({ group: 'lab', selector: 'site=lab', targets: { waiting: 1 } });
    const { records } = await bulk.parts.audit.list({ filter: { resource: `bulk-run:${run.id}` }, limit: 10 });
    expect(records).toMatchObject([
      { verb: 'agent.command', result: 'allowed', details: { group: 'lab', operation: 'agent.ping', targets: 1 } },
    ]);
  });

  it('are refused to who may do such a thing nowhere, and that is recorded', async () => {
    const refused = await ask('POST', '/bulk-runs', 'viewer', { selector: '', ...PING });
    expect(refused).toMatchObject({ status: 403, body: { code: 'forbidden' } });
    const { records } = await bulk.parts.audit.list({ filter: { result: 'denied' }, limit: 10 });
    expect(records).toMatchObject([{ actor_name: 'vera', verb: 'agent.command' }]);
  });

  it.each([
    { selector: '' },
    { ...PING },
    { selector: '', ...PING, provider: 'shell' },
    { selector: '', ...PING, x: 1 },
  ])('are refused where a request does not say once for whom and once what: %j', async (payload) => {
    expect(await ask('POST', '/bulk-runs', 'admin', payload)).toMatchObject({
      status: 422,
      body: { code: 'invalid_request' },
    });
  });

  it('are not there for who may see none of their agents', async () => {
    const run = await made('admin', { selector: 'site=home', ...PING });
    for (const path of [`/bulk-runs/${run.id}`, `/bulk-runs/${run.id}/targets`]) {
      expect(await ask('GET', path, 'lab')).toMatchObject({ status: 404, body: { code: 'bulk_run_not_found' } });
    }
    expect(await ask('POST', `/bulk-runs/${run.id}/cancel`, 'lab')).toMatchObject({ status: 404 });
    expect(await ask('GET', '/bulk-runs', 'lab')).toMatchObject({ body: { items: [] } });
  });

  it('show only the targets that the caller may see, page by page', async () => {
    const run = await made('admin', { selector: '', ...PING });
    const path = `/bulk-runs/${run.id}/targets`;
    const first = await ask('GET', `${path}?limit=1`, 'viewer');
    expect(first.body).toMatchObject({ items: [{ agent_name: 'a-lab' }], next_cursor: '0' });
    expect((await ask('GET', `${path}?limit=1&cursor=0`, 'viewer')).body).toMatchObject({
      items: [{ agent_name: 'b-home' }],
      next_cursor: null,
    });
    expect((await ask('GET', path, 'lab')).body).toMatchObject({ items: [{ agent_name: 'a-lab' }], next_cursor: null });
  });

  it('are cancelled as a whole, by who may cancel all of it', async () => {
    const run = await made('admin', { selector: '', ...PING });
    const cancel = (as: Who) => ask('POST', `/bulk-runs/${run.id}/cancel`, as);
    expect(await cancel('viewer')).toMatchObject({ status: 403 });
    const partly = await cancel('lab');
    expect(partly).toMatchObject({
      status: 403,
      body: { message: 'some targets of this run are not yours to cancel' },
    });
    expect(await cancel('admin')).toMatchObject({ status: 200 });
    expect((await bulk.until(run.id, 'cancelled')).targets).toMatchObject({ succeeded: 0, started: 0, waiting: 0 });
  });
});

async function serve(people: PeopleFixture): Promise<AppFixture> {
  const { db, presence, reaper, log } = people.control.parts;
  const { clock } = people.control;
  const groups = new Groups({ db, publish: () => undefined, clock });
  const agents = agentService({ db, presence, reaper, clock, log });
  const { runs, audit } = bulk.parts;
  const routes = [
    groupRoutes({ groups, agents, presence }),
    bulkRunRoutes(runs, groups, { agents, timeoutSecondsDefault: 60 }),
  ];
  return AppFixture.over(people, routes, { audit });
}

async function withoutRole({ users, sessions: opened }: PeopleFixture): Promise<string> {
  const { id } = await users.create({ name: 'nora', password: undefined, roles: [] }, ADMIN);
  return (await opened.open(id, { label: 'a test', method: 'password', address: null })).token;
}

/** Finds and lists; what it needs to revoke is not here. */
function agentService(
  parts: Pick<ConstructorParameters<typeof AgentService>[0], 'db' | 'presence' | 'reaper' | 'clock' | 'log'>,
) {
  return new AgentService(parts as ConstructorParameters<typeof AgentService>[0]);
}

function namesOf(body: unknown): unknown[] {
  const { items } = body as { items: { name: string }[] };
  return items.map(({ name }) => name);
}
