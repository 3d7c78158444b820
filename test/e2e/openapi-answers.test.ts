import { runTask, TestAgent, TestControlPlane } from '@drawbridge/testkit';
import { z } from 'zod';
import { expect, it } from 'vitest';
import { DescribedApi } from './described-api.ts';

/** What a path cannot be asked without. */
const QUERIES: Readonly<Record<string, string>> = { '/api/v1/identity': `?nonce=${'n'.repeat(32)}` };
const PASSWORD = 'correct horse battery staple';
const Text = z.string().optional();
const Made = z.looseObject({ id: Text, session_id: Text, name: Text, token: Text, tunnel_id: Text });

it('answers every request that reads, and those that make things, as its own document says', async () => {
  await using controlPlane = await TestControlPlane.start();
  await using agent = await TestAgent.start({ controlPlane });
  const api = await DescribedApi.of(controlPlane);
  const things = await makeOneOfEach(api, controlPlane, agent.agentId);
  const refused: string[] = [];
  for (const template of api.readable) {
    const path = `${filledIn(template, things)}${QUERIES[template] ?? ''}`;
    const { status } = await api.call({ method: 'GET', template, path });
    if (status >= 300) refused.push(`${template}: ${status}`);
  }
  expect(refused).toEqual([]);
});

/** What is there to be read: by the noun of its path, its id or name. */
async function makeOneOfEach(
  api: DescribedApi,
  controlPlane: TestControlPlane,
  agentId: string,
): Promise<ReadonlyMap<string, string>> {
  const things = new Map([['agents', agentId]]);
  const make = async (noun: string, body: object, template = `/api/v1/${noun}`) => {
    const { status, body: answer } = await api.call({
      method: 'POST',
      template,
      path: filledIn(template, things),
      body,
    });
    if (status >= 300) throw new Error(`POST ${template}: ${status} ${JSON.stringify(answer)}`);
    const made = Made.parse(answer);
    const id = made.id ?? made.session_id ?? made.name;
    if (id !== undefined) things.set(noun, id);
    return made;
  };
  await make('users', { name: 'ada', password: PASSWORD, roles: [{ role: 'admin' }] });
  // Only a person lets a command line in: from here on it is ada who asks.
  api.token = (await make('session', { user: 'ada', password: PASSWORD }, '/api/v1/sessions')).token ?? '';
  await make('roles', { name: 'reader', verbs: ['agent.read'] });
  await make('groups', { name: 'all', selector: '' });
  await make('tokens', { name: 'ci', verbs: 'all', expires_in_seconds: 600 });
  await make('join-tokens', { uses: 2 });
  await make('login-requests', { label: 'a laptop' });
  await make('commands', { operation: 'agent.ping' }, '/api/v1/agents/{agent}/commands');
  await make('bulk-runs', { group: 'all', operation: 'agent.ping' });
  await make('sessions', { mode: 'pipe', command: ['cat'] }, '/api/v1/agents/{agent}/sessions');
  await make('tasks', { agent_id: agentId, provider: 'shell', instructions: 'date' });
  const lease = await make('tunnel', { agent_id: agentId, protocol: 'tcp' }, '/api/tunnel/request');
  things.set('tunnels', lease.tunnel_id ?? '');
  // One that has ended has output that ends too.
  things.set('tasks', (await runTask(controlPlane, { agent: agentId, instructions: 'date' })).id);
  return things;
}

/** The path of a template: each parameter is the thing that was made of the noun before it. */
function filledIn(template: string, things: ReadonlyMap<string, string>): string {
  return template.replaceAll(/([\w-]+)\/\{\w+\}/g, (_all, noun: string) => {
    const thing = things.get(noun);
    if (thing === undefined) throw new Error(`${template}: nothing was made to be read there`);
    return `${noun}/${encodeURIComponent(thing)}`;
  });
}
