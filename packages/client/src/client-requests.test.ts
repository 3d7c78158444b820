import { expect, it } from 'vitest';
import { DrawbridgeClient } from './client.ts';
import { answers, lineOf, newerAnswer } from './fetch-fixture.ts';
import { AGENT, SAMPLE, TASK, TIME, pageOf, patience } from './samples-fixture.ts';

const URL_ = 'https://control.test';
const CONFIG = {
  wanted: { heartbeat_interval: 5, command_timeout: null },
  told: { heartbeat_interval: 5, command_timeout: 300 },
  state: 'pending',
  applied: null,
  reason: null,
  updated_at: TIME,
  answered_at: null,
};
const JOIN_TOKEN = { id: 'j1', labels: {}, uses_left: 1, uses: 1, created_at: TIME, expires_at: TIME, revoked: false };
const ISSUED = { id: 'j1', token: 'dbj_x', url: URL_, expires_at: TIME };
const COMMAND = {
  id: 'c1',
  agent_id: 'a1',
  operation: 'agent.ping',
  state: 'succeeded',
  created_at: TIME,
  ended_at: TIME,
  cancel_requested: false,
};

type Call = (client: DrawbridgeClient) => Promise<unknown>;

/** What is called, what the control plane is asked by it, what it says, and what comes of that. */
const CALLS: readonly (readonly [call: Call, asked: string, answer: unknown, result: unknown])[] = [
  [(client) => client.listAgents(), 'GET /agents?limit=200', pageOf(AGENT), [AGENT]],
  [
    (client) => client.listAgents({ selector: 'site=lab,env!=prod', status: 'offline' }),
    'GET /agents?limit=200&selector=site%3Dlab%2Cenv!%3Dprod&status=offline',
    pageOf(AGENT),
    [AGENT],
  ],
  [(client) => client.getAgent('a/b?c'), 'GET /agents/a%2Fb%3Fc', AGENT, AGENT],
  [
    (client) => client.updateAgent('build-1', { name: 'build-2', labels: { env: null } }),
    'PATCH /agents/build-1 {"name":"build-2","labels":{"env":null}}',
    AGENT,
    AGENT,
  ],
  [(client) => client.agentConfig('a/b'), 'GET /agents/a%2Fb/config', CONFIG, CONFIG],
  [
    (client) => client.configureAgent('a/b', { heartbeat_interval: 5, command_timeout: null }),
    'PATCH /agents/a%2Fb/config {"heartbeat_interval":5,"command_timeout":null}',
    CONFIG,
    CONFIG,
  ],
  [(client) => client.revokeAgent('a/b'), 'DELETE /agents/a%2Fb', undefined, undefined],
  [(client) => client.createJoinToken(), 'POST /join-tokens {}', ISSUED, ISSUED],
  [
    (client) => client.createJoinToken({ ttlSeconds: 60, uses: 2, labels: { env: 'dev' } }),
    'POST /join-tokens {"ttl_seconds":60,"uses":2,"labels":{"env":"dev"}}',
    ISSUED,
    ISSUED,
  ],
  [(client) => client.listJoinTokens(), 'GET /join-tokens', pageOf(JOIN_TOKEN), [JOIN_TOKEN]],
  [(client) => client.revokeJoinToken('j/1'), 'DELETE /join-tokens/j%2F1', undefined, undefined],
  [(client) => client.createSignInLink(), 'POST /sign-in-links', { url: `${URL_}/#x` }, `${URL_}/#x`],
  [
    (client) => client.runCommand('a/b', 'agent.ping', { echo: 'hello' }),
    'POST /agents/a%2Fb/commands {"operation":"agent.ping","params":{"echo":"hello"}}',
    COMMAND,
    COMMAND,
  ],
  [
    (client) => client.runCommand('a1', 'agent.info'),
    'POST /agents/a1/commands {"operation":"agent.info","params":{}}',
    COMMAND,
    COMMAND,
  ],
  [(client) => client.getTask('t/1'), 'GET /tasks/t%2F1', TASK, TASK],
  [(client) => client.listTasks(), 'GET /tasks?limit=50', pageOf(TASK), [TASK]],
  [
    (client) => client.listTasks({ limit: 5, agent: 'build 1', state: 'failed', selector: 'env=dev' }),
    'GET /tasks?limit=5&agent=build%201&state=failed&selector=env%3Ddev',
    pageOf(TASK),
    [TASK],
  ],
  [(client) => client.cancelTask('t/1'), 'POST /tasks/t%2F1/cancel', TASK, TASK],
  [
    (client) => client.createTask({ agent: 'a1', provider: 'shell', instructions: 'true' }, patience()),
    'POST /tasks {"agent_id":"a1","provider":"shell","instructions":"true"}',
    TASK,
    TASK,
  ],
  [
    (client) =>
      client.createTask(
        {
          agent: 'build-1',
          provider: 'claude',
          instructions: 'grüezi',
          mode: 'plan',
          model: 'm1',
          timeoutSeconds: 60,
          queueIfOffline: true,
          ttlSeconds: 90,
        },
        patience(),
      ),
    'POST /tasks {"agent_id":"build-1","provider":"claude","instructions":"grüezi","mode":"plan","model":"m1","timeout_seconds":60,"queue_if_offline":true,"ttl_seconds":90}',
    TASK,
    TASK,
  ],
  [(client) => client.waitForTask('t/1', patience()), 'GET /tasks/t%2F1?wait_seconds=30', TASK, TASK],
  [
    (client) => Array.fromAsync(client.agentHealth('a/b', { since: TIME, until: TIME })),
    `GET /agents/a%2Fb/health?limit=1000&since=${encodeURIComponent(TIME)}&until=${encodeURIComponent(TIME)}`,
    pageOf(SAMPLE),
    [SAMPLE],
  ],
  [
    (client) => Array.fromAsync(client.readOutput('t/1', 'result', 7)),
    'GET /tasks/t%2F1/result?since=7',
    undefined,
    [],
  ],
  [(client) => Array.fromAsync(client.readOutput('t1', 'output')), 'GET /tasks/t1/output?since=0', undefined, []],
];

it.each(CALLS.map(([call, line, answer, result]) => ({ call, line, answer, result })))(
  'asks $line, and gives what is answered',
  async ({ call, line, answer, result }) => {
    const { fetch, asked } = answers(newerAnswer(answer));
    expect(await call(new DrawbridgeClient({ url: URL_, fetch }))).toEqual(result);
    expect(asked.map(lineOf)).toEqual([line]);
  },
);
