import { eventually, runCli, TestAgent, TestControlPlane } from '@drawbridge/testkit';
import { afterAll, beforeAll, expect, it } from 'vitest';

let controlPlane: TestControlPlane;
let agent: TestAgent;
beforeAll(async () => {
  controlPlane = await TestControlPlane.start();
  agent = await TestAgent.start({ controlPlane, config: { heartbeat: { interval: 10 } } });
});
afterAll(async () => {
  await agent[Symbol.asyncDispose]();
  await controlPlane[Symbol.asyncDispose]();
});

function path(): string {
  return `/api/v1/agents/${agent.name}/config`;
}

/** What is known of the agent's settings, once it has answered. */
async function answered(): Promise<unknown> {
  return eventually(async () => (await controlPlane.api('GET', path())).body, {
    what: 'the agent to answer',
    until: (body) => Object(body).state !== 'pending',
  });
}

it('begins with what all agents are told', async () => {
  expect(await controlPlane.api('GET', path())).toMatchObject({
    status: 200,
    body: { state: 'default', told: { heartbeat_interval: 20, command_timeout: 300 } },
  });
});

it('beats as it is told, at once', async () => {
  const changed = await controlPlane.api('PATCH', path(), { heartbeat_interval: 1, command_timeout: 60 });
  expect(changed).toMatchObject({ status: 200, body: { wanted: { heartbeat_interval: 1, command_timeout: 60 } } });
  expect(await answered()).toMatchObject({
    state: 'applied',
    applied: { heartbeat_interval: 1, command_timeout: 60 },
    reason: null,
  });
  await agent.waitForLog(({ msg, heartbeat_interval: interval }) => /settings/.test(String(msg)) && interval === 1);
});

it('does so after it comes back, too', async () => {
  await agent.restart();
  expect(await answered()).toMatchObject({ state: 'applied', applied: { heartbeat_interval: 1 } });
});

it('does not beat more slowly than its own file allows, and says so', async () => {
  await controlPlane.api('PATCH', path(), { heartbeat_interval: 15 });
  expect(await answered()).toMatchObject({
    state: 'refused',
    applied: null,
    reason: expect.stringMatching(/heartbeat_interval 15: heartbeat\.interval in this agent's own file allows 10/),
  });
});

it('is shown and changed from the command line', async () => {
  const env = { DRAWBRIDGE_URL: controlPlane.url, DRAWBRIDGE_TOKEN: controlPlane.token };
  const shown = await runCli(['agents', 'config', agent.name], { env });
  expect(shown).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/heartbeat interval +15 s\n.*60 s\n.*refused\n/),
  });
  const wrong = await runCli(['agents', 'config', agent.name, '--set', 'colour=red'], { env });
  expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('heartbeat_interval or command_timeout') });
  const set = ['--set', 'heartbeat_interval=default', 'command_timeout=default', '--json'];
  const { code, stdout } = await runCli(['agents', 'config', agent.name, ...set], { env });
  expect({ code, view: JSON.parse(stdout) }).toMatchObject({ code: 0, view: { state: 'default' } });
});

it('is not everybody’s to change', async () => {
  const token = await controlPlane.api('POST', '/api/v1/tokens', {
    name: 'reader',
    verbs: ['agent.read'],
    expires_in_seconds: 60,
  });
  const { token: reader } = token.body as { token: string };
  const as = { authorization: `Bearer ${reader}` };
  expect(await controlPlane.api('GET', path(), undefined, as)).toMatchObject({ status: 200 });
  expect(await controlPlane.api('PATCH', path(), { heartbeat_interval: 5 }, as)).toMatchObject({ status: 403 });
  expect(await controlPlane.api('PATCH', path(), { heartbeat_interval: 45 })).toMatchObject({ status: 422 });
  expect(await controlPlane.api('GET', `/api/v1/agents/${agent.name}/health`)).toMatchObject({
    status: 200,
    body: { items: [], next_cursor: null },
  });
});
