import { TestControlPlane } from '@drawbridge/testkit';
import { ErrorView } from '@drawbridge/protocol/api';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { GeneratedClient } from './generated-client.ts';

// A program written against `/openapi.json` alone: whatever the document promises has to be what the server does.

const owned = new AsyncDisposableStack();
let client: GeneratedClient;

beforeAll(async () => {
  const controlPlane = owned.use(await TestControlPlane.start());
  client = owned.use(await GeneratedClient.make(controlPlane));
});

afterAll(() => owned.disposeAsync());

it('lists agents, page by page', async () => {
  for (const name of ['one', 'two', 'three']) await makeAgent(name);
  const first = await client.call('getAgents', { limit: 2 });
  expect(first).toMatchObject({
    status: 200,
    data: { items: [{ name: 'one' }, { name: 'three' }], next_cursor: 'three' },
  });
  const rest = await client.call('getAgents', { limit: 2, cursor: 'three' });
  expect(rest).toMatchObject({ status: 200, data: { items: [{ name: 'two' }], next_cursor: null } });
});

it('makes a join token', async () => {
  const made = await client.call('postJoinTokens', { body: { uses: 3 } });
  expect(made).toMatchObject({ status: 201, data: { token: expect.any(String) } });
});

it('makes a user with a role, and finds them again', async () => {
  const roles = [{ role: 'viewer', selector: 'env=dev' }];
  expect(await client.call('postUsers', { body: { name: 'ada', roles } })).toMatchObject({
    status: 201,
    data: { roles },
  });
  expect(await client.call('getUsersByUser', { user: 'ada' })).toMatchObject({
    status: 200,
    data: { name: 'ada', roles },
  });
});

it('leaves a task with an agent that is away', async () => {
  const agentId = await makeAgent('away');
  const body = { agent_id: agentId, provider: 'shell', instructions: 'date', queue_if_offline: true };
  expect(await client.call('postTasks', { body })).toMatchObject({
    status: 201,
    data: { agent_id: agentId, state: 'queued' },
  });
});

it.each([
  ['what is not there', 'getAgentsByAgent', { agent: 'nobody' }, 404, 'agent_not_found'],
  ['what makes no sense', 'postUsers', { body: { name: '' } }, 422, 'invalid_request'],
] as const)('gets the error of the document for %s', async (_what, operationId, parameters, status, code) => {
  const answer = await client.call(operationId, parameters);
  expect(answer).toMatchObject({ status, data: { code } });
  expect(ErrorView.safeParse(answer.data)).toMatchObject({ success: true });
});

async function makeAgent(name: string): Promise<string> {
  const { status, data } = await client.call('postAgents', { body: { name } });
  if (typeof data === 'object' && data !== null && 'agent_id' in data && typeof data.agent_id === 'string') {
    return data.agent_id;
  }
  throw new Error(`no agent, but ${status}`);
}
