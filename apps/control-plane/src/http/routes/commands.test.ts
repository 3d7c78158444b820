import { CommandView } from '@drawbridge/protocol/api';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { AgentService } from '../../agents/agent-service.ts';
import type { AgentServiceOptions } from '../../agents/agent-service.ts';
import type { ControlPlaneFixture } from '../../control-plane-fixture.ts';
import { PeopleFixture } from '../../operators/people-fixture.ts';
import { AppFixture } from '../app-fixture.ts';
import { commandRoutes } from './commands.ts';

let control: ControlPlaneFixture;
let server: AppFixture;
let session: string;
let agentId: string;
beforeEach(async () => {
  const people = await PeopleFixture.make();
  control = people.control;
  const { commands, presence, settings } = control.parts;
  server = await AppFixture.over(people, [commandRoutes({ commands, agents: agentService(), presence, settings })]);
  session = await server.session('ann', 'operator');
  agentId = await control.addAgent();
});
afterEach(() => server[Symbol.asyncDispose]());

const post = (payload: object) => server.ask('POST', `/agents/${agentId}/commands`, session, { payload });

it('answers at once with what is queued for an agent that is away', async () => {
  const answer = await post({ operation: 'agent.ping', queue_if_offline: true });
  expect(answer.statusCode).toBe(202);
  const command = CommandView.parse(answer.json());
  expect(command).toMatchObject({ agent_id: agentId, operation: 'agent.ping', state: 'queued', ended_at: null });
  expect((await server.ask('GET', `/commands/${command.id}`, session)).json()).toEqual(command);
});

it('refuses what is not to be queued for an agent that is away', async () => {
  const answer = await post({ operation: 'agent.ping' });
  expect([answer.statusCode, answer.json()]).toMatchObject([503, { code: 'agent_offline' }]);
});

it('answers with the end of what an agent that is there has carried out', async () => {
  const link = await control.connect(agentId);
  const asked = post({ operation: 'agent.ping' });
  const [sent] = await control.delivered(link, 1);
  const id = sent?.id ?? '';
  await control.parts.commands.ended(link, id, { status: 'success', data: { at: 1 } });
  const answer = await asked;
  expect([answer.statusCode, answer.json()]).toMatchObject([200, { id, state: 'succeeded', data: { at: 1 } }]);
});

/** Finds; what it needs to change and to revoke is not here. */
function agentService(): AgentService {
  const parts: Partial<AgentServiceOptions> = { db: control.parts.db };
  return new AgentService(parts as AgentServiceOptions);
}
