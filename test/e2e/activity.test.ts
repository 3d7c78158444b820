import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { LINK_SUBPROTOCOL } from '@drawbridge/protocol';
import { AuditRecord } from '@drawbridge/protocol/api';
import { TestAgent, TestControlPlane, eventually, outputOf, runTask } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { z } from 'zod';

const Activity = z.object({ items: z.array(AuditRecord) });

async function activityOf(controlPlane: TestControlPlane, agentId: string) {
  const { body } = await controlPlane.api('GET', `/api/v1/agents/${agentId}/activity?limit=100`);
  return Activity.parse(body).items.toReversed();
}

it('shows what an agent did and what was done with it, from enrolment to the reason of its end', async () => {
  await using controlPlane = await TestControlPlane.start();
  await using agent = await TestAgent.start({ controlPlane, name: 'build-1' });
  const { agentId } = agent;
  const task = await runTask(controlPlane, { agent: 'build-1', instructions: 'echo hello' });
  expect(await outputOf(controlPlane, task.id)).toBe('hello\n');
  await agent.stop();

  const records = await eventually(() => activityOf(controlPlane, agentId), {
    what: 'the ends of its tunnel and its connection in the activity',
    until: (all) => ['tunnel.close', 'agent.disconnect'].every((end) => all.some(({ verb }) => verb === end)),
  });
  const told = records.map(({ verb, result }) => `${verb} ${result}`);
  expect(told).toEqual(
    expect.arrayContaining([
      'agent.enrol allowed',
      'agent.connect allowed',
      'task.run allowed',
      'tunnel.open allowed',
      'tunnel.close allowed',
      'agent.disconnect allowed',
    ]),
  );
  expect(told.indexOf('agent.enrol allowed')).toBe(0);
  expect(records.find(({ verb }) => verb === 'task.run')).toMatchObject({ details: { task_id: task.id } });
  const reasonOf = (verb: string) => records.find((record) => record.verb === verb)?.reason;
  expect(reasonOf('tunnel.close')).toMatch(/\w/);
  expect(reasonOf('agent.disconnect')).toMatch(/\w/);
  expect(JSON.stringify(records)).not.toContain('echo hello');
});

it('shows who was turned away in its name, even after it was revoked', async () => {
  await using controlPlane = await TestControlPlane.start();
  await using agent = await TestAgent.start({ controlPlane, name: 'build-1' });
  const { agentId } = agent;
  const url = `${controlPlane.url.replace('http', 'ws')}/ws/agents/${agentId}`;
  const headers = { 'x-session-id': randomUUID(), authorization: 'Bearer dbk_guessed' };
  const stranger = new WebSocket(url, [LINK_SUBPROTOCOL], { headers });
  const [error] = await once(stranger, 'error');
  expect(String(error)).toContain('401');
  await controlPlane.api('DELETE', '/api/v1/agents/build-1');
  const records = await activityOf(controlPlane, agentId);
  expect(records.find(({ result }) => result === 'denied')).toMatchObject({
    verb: 'agent.connect',
    reason: 'auth_failed',
    actor: `agent:${agentId}`,
    address: '127.0.0.1',
  });
});
