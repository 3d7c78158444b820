import { ControlError } from '@drawbridge/protocol';
import { printConfig } from '@drawbridge/runtime';
import { TempDir } from '@drawbridge/testkit';
import { writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadAgentConfig, tasksDirOf } from './config.ts';

let dir: TempDir;
beforeAll(async () => {
  dir = await TempDir.make();
});
afterAll(() => dir[Symbol.asyncDispose]());

async function load(yaml: string, env: Record<string, string> = {}) {
  const file = dir.join('agent.yaml');
  await writeFile(file, yaml);
  return loadAgentConfig({ file, env });
}

async function faults(yaml: string, env: Record<string, string> = {}): Promise<string> {
  const error: unknown = await load(yaml, env).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ControlError)) throw new Error('not a ControlError', { cause: error });
  return error.message.replaceAll(`${dir.path}/`, '');
}

/** What S0 ships (S0-118..131). */
const S0 = `
endpoint: wss://control-plane.example.com/v1/relay
apiKey: "\${RELAY_API_KEY}"
deviceId: local-ai-host
heartbeatIntervalMs: 21000
maxQueueSize: 151
workspaceRoot: /var/lib/ai-relay/tasks
logLevel: debug
providers:
  claude: { binary: claude, args: [--print] }
  copilot: { binary: gh, args: [copilot, suggest] }
  gemini: { binary: gemini, args: [run] }
security: { enforceTaskIsolation: false, restrictSubprocessCwd: false, auditFileAccess: false }
`;

/** What S2 ships (S2-121..132). */
const S2 = `
server: { url: wss://control-platform.com, verify_ssl: true }
agent: { id: "\${AGENT_ID}", auth_token: "\${AGENT_AUTH_TOKEN}" }
docker: { socket: unix:///var/run/docker.sock, timeout: 300 }
logging: { level: info, file: /var/log/docker-ctl-agent.log }
reconnection: { enabled: true, max_attempts: -1, base_delay: 1.0, max_delay: 60.0 }
`;

it('needs no file', () => {
  expect(loadAgentConfig({ env: {} })).toMatchObject({
    server: { verify_ssl: true },
    heartbeat: { interval: 20 },
    reconnection: { enabled: true, max_attempts: -1, base_delay: 1, max_delay: 60, factor: 2, preset: 'full_jitter' },
    queue: { max_size: 150 },
    tasks: { concurrency: 4, retention_days: 30, kill_grace: 5, isolation: 'auto' },
    providers: { shell: { kind: 'shell' } },
    tunnels: { allow: ['127.0.0.1:*'], deny: ['169.254.0.0/16'], domains: { ps: 1, rdp_vnc_webrtc: 1, ssh: 0 } },
    execd: { ports: [44_772, 8080] },
    sessions: { shell: 'auto', ring_bytes: 1_048_576, ttl: 86_400, max: 64, record: false },
    security: { enforce_task_isolation: true, operations: { allow: ['*'], deny: [] } },
    drain_timeout: 30,
  });
});

it("reads S0's file", async () => {
  const config = await load(S0, { RELAY_API_KEY: 'dbk_1' });
  expect(config).toMatchObject({
    server: { url: 'wss://control-plane.example.com/v1/relay' },
    agent: { id: 'local-ai-host' },
    heartbeat: { interval: 21 },
    queue: { max_size: 151 },
    tasks: { workspace_root: '/var/lib/ai-relay/tasks' },
    logging: { level: 'debug' },
    providers: {
      claude: { kind: 'command', binary: 'claude', args: ['--print'] },
      copilot: { kind: 'command', binary: 'gh', args: ['copilot', 'suggest'] },
      gemini: { kind: 'command', binary: 'gemini', args: ['run'] },
    },
    security: { enforce_task_isolation: false, restrict_subprocess_cwd: false, audit_file_access: false },
  });
  expect(config.agent.auth_token?.reveal()).toBe('dbk_1');
});

it("reads S2's file", async () => {
  const config = await load(S2, { AGENT_ID: 'a1', AGENT_AUTH_TOKEN: 'dbk_2' });
  expect(config).toMatchObject({ agent: { id: 'a1' }, logging: { file: '/var/log/docker-ctl-agent.log' } });
  expect(config.agent.auth_token?.reveal()).toBe('dbk_2');
});

it("takes S0's variables without a file (S0-119, S0-120)", () => {
  const { agent } = loadAgentConfig({ env: { RELAY_API_KEY: 'dbk_3', DEVICE_ID: 'd1' } });
  expect([agent.id, agent.auth_token?.reveal()]).toEqual(['d1', 'dbk_3']);
});

it('refuses two names of one thing with different values', async () => {
  const yaml =
    'endpoint: wss://a.test\nserver: { url: "wss://b.test" }\nheartbeatIntervalMs: 20000\nheartbeat: { interval: 20 }';
  expect(await faults(yaml)).toBe(
    'agent.yaml: endpoint: is another name of server.url, which is set to something else',
  );
});

describe('server.url', () => {
  it.each(['wss://a.test', 'https://a.test/base', 'ws://localhost:7400', 'http://127.0.0.1:7400', 'ws://[::1]:1'])(
    'may be %s',
    async (url) => {
      expect((await load(`server: { url: "${url}" }`)).server.url).toBe(url);
    },
  );

  it.each([
    ['ws://a.test', 'is not encrypted'],
    ['http://10.0.0.1', 'is not encrypted'],
    ['ftp://a.test', 'expected a URL'],
    ['a.test', 'expected a URL'],
    ['wss://me:hunter2@a.test', 'credentials do not belong'],
    ['wss://a.test?token=hunter2', 'neither query nor fragment'],
  ])('may not be %s', async (url, reason) => {
    const message = await faults(`server: { url: "${url}" }`);
    expect(message).toMatch(/^agent\.yaml: server\.url: /);
    expect(message).toContain(reason);
    expect(message).not.toContain('hunter2');
  });

  it('may be plain to elsewhere when that is asked for', async () => {
    expect((await load('server: { url: "ws://a.test", allow_plaintext: true }')).server.url).toBe('ws://a.test');
  });
});

it.each([
  ['server: { client_cert: c.pem }', 'server.client_key: client_cert needs it'],
  ['server: { client_key: k.pem }', 'server.client_cert: client_key needs it'],
  ['server: { verify_ssl: false, ca: ca.pem }', 'server.ca: means nothing'],
  ['server: { pin: sha256/short }', 'server.pin: expected sha256/'],
  ['reconnection: { base_delay: 5, max_delay: 4 }', 'reconnection.max_delay: is less than base_delay'],
  ['reconnection: { preset: s3 }', 'reconnection.preset: '],
  ['heartbeat: { interval: 41 }', 'heartbeat.interval: '],
  ['heartbeatIntervalMs: 100', 'heartbeatIntervalMs: '],
  ['tasks: { concurrency: 0 }', 'tasks.concurrency: '],
  [
    'tasks: { isolation: required }\nsecurity: { enforce_task_isolation: false }',
    'tasks.isolation: cannot be required',
  ],
  ['providers: { x: { kind: magic } }', 'providers.x.kind: '],
  ['security: { operation: {} }', 'security.operation: unknown key'],
  ['tunnels: { domains: { ps: -1 } }', 'tunnels.domains.ps: '],
  ['tunnels: { allow: ["10.0.0.1:22", "10.0.0.1:99999"] }', 'tunnels.allow.1: "10.0.0.1:99999": 99999 is no port'],
  ['tunnels: { deny: [0x7f.1] }', 'tunnels.deny.0: "0x7f.1": write the address as 127.0.0.1'],
])('refuses %s', async (yaml, reason) => {
  expect(await faults(yaml)).toContain(`agent.yaml: ${reason}`);
});

it.each([
  ['claude: {}', { claude: { kind: 'claude', binary: 'claude' } }],
  ['claude: { args: [--print] }', { claude: { kind: 'command', binary: 'claude' } }],
  ['claude: { kind: claude, args: [--print] }', { claude: { kind: 'claude' } }],
  ['mine: { kind: acp, binary: /opt/mine }', { mine: { kind: 'acp', binary: '/opt/mine' } }],
  ['mine: {}', { mine: { kind: 'command', binary: 'mine' } }],
  ['shell: {}', { shell: { kind: 'shell', binary: undefined } }],
])('knows the driver of %s', async (yaml, providers) => {
  expect((await load(`providers: { ${yaml} }`)).providers).toMatchObject(providers);
});

it.each([
  ['/var/lib/ai-relay/tasks', '/var/lib/ai-relay/tasks'],
  ['/var/lib/ai-relay/tasks/', '/var/lib/ai-relay/tasks/'],
  ['/var/lib/ai-relay', '/var/lib/ai-relay/tasks'],
  ['/srv/my-tasks', '/srv/my-tasks/tasks'],
])('keeps the tasks of %s in %s (S0-124)', (root, tasks) => {
  expect(tasksDirOf(root)).toBe(tasks);
});

it('prints a file that says the same', async () => {
  const printed = printConfig(await load(S0, { RELAY_API_KEY: 'hunter2' }));
  expect(printed).not.toContain('hunter2');
  expect(printConfig(await load(printed))).toBe(printed);
});
