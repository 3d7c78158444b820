import {
  endOfTask,
  eventually,
  outputOf,
  runCli,
  runTask,
  streamCli,
  TempDir,
  TestAgent,
  TestControlPlane,
} from '@drawbridge/testkit';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';

const USAGE_CODE = 2;

/** `drawbridge <program> --config <file with text> <flag>`, and the name of that file. */
async function check(program: 'server' | 'agent', text: string, flag = '--check-config', env: NodeJS.ProcessEnv = {}) {
  await using dir = await TempDir.make();
  const file = dir.join('config.yaml');
  await writeFile(file, text);
  const result = await runCli([program, '--config', file, '--data', dir.join('data'), flag], { env });
  return { ...result, file };
}

describe('--check-config', () => {
  it.each([
    ['server', ''],
    ['server', 'listen: { host: 127.0.0.1, port: 7400 }\nagents: { heartbeat_interval: 10 }'],
    ['agent', ''],
    ['agent', 'server: { url: wss://control.example.com }\nproviders: { shell: { actions: [execute_task] } }'],
  ] as const)('takes what is right: %s %j', async (program, text) => {
    expect(await check(program, text)).toMatchObject({ code: 0, stdout: '', stderr: '' });
  });

  it.each([
    ['server', 'listen: { hots: 127.0.0.1 }', /listen\.hots: unknown key/],
    ['server', 'listen: { port: seven }', /listen\.port: .*number/],
    ['server', 'listen: { host: 0.0.0.0 }', /listen\.host: is not loopback: set listen\.tls/],
    ['server', 'tunnels: { enable_compression: true }', /tunnels\.enable_compression: compression is not offered/],
    [
      'server',
      'agents: { heartbeat_interval: 30, websocket_timeout: 20 }',
      /agents\.websocket_timeout: must be longer/,
    ],
    ['server', 'auth: { oidc: { issuer: "${DRAWBRIDGE_TEST_ISSUER}", client_id: x } }', /DRAWBRIDGE_TEST_ISSUER/],
    ['agent', 'tasks: { concurrency: "four" }', /tasks\.concurrency: .*number/],
    ['agent', 'task: { concurrency: 4 }', /task: unknown key/],
    ['agent', 'agent: { auth_token: "${DRAWBRIDGE_TEST_TOKEN}" }', /agent\.auth_token: .*DRAWBRIDGE_TEST_TOKEN/],
    ['agent', 'server: { url: "http://control.example.com" }', /server\.url: .*not encrypted/],
    ['agent', 'server: { client_cert: a.pem }', /server\.client_key: client_cert needs it/],
    [
      'agent',
      'security: { enforce_task_isolation: false }\ntasks: { isolation: required }',
      /tasks\.isolation: cannot/,
    ],
  ] as const)('names file, key and reason: %s %j', async (program, text, reason) => {
    const { code, stderr, file } = await check(program, text);
    expect(code).toBe(USAGE_CODE);
    expect(stderr).toContain(file);
    expect(stderr).toMatch(reason);
  });

  it.each(['server', 'agent'] as const)('only checks: the %s leaves no trace', async (program) => {
    await using dir = await TempDir.make();
    const file = dir.join('config.yaml');
    await writeFile(file, `logging: { file: '${dir.join('logs', 'a.log')}' }`);
    for (const flag of ['--check-config', '--print-config']) {
      expect(await runCli([program, '--config', file, '--data', dir.join('data'), flag])).toMatchObject({ code: 0 });
    }
    expect(await readdir(dir.path)).toEqual(['config.yaml']);
  });

  it.each(['server', 'agent'] as const)('tells all that is wrong with the file of the %s at once', async (program) => {
    const { code, stderr, file } = await check(program, 'logging: { level: loud, keep: -1 }\nnonsense: true');
    expect(code).toBe(USAGE_CODE);
    const faults = stderr.trimEnd().replace(`drawbridge ${program}: `, '').split('\n');
    expect(faults.map((line) => line.split(': ').slice(0, 2))).toEqual([
      [file, 'logging.level'],
      [file, 'logging.keep'],
      [file, 'nonsense'],
    ]);
  });

  it.each(['server', 'agent'] as const)('names the variable that is wrong, and no file of the %s', async (program) => {
    const { code, stderr } = await check(program, '', '--check-config', { DRAWBRIDGE_LOGGING_KEEP: 'all' });
    expect({ code, stderr }).toEqual({
      code: USAGE_CODE,
      stderr: expect.stringMatching(/^drawbridge \w+: DRAWBRIDGE_LOGGING_KEEP: logging\.keep: /),
    });
  });

  it('refuses a flag that makes the server reachable without TLS, and does not start it', async () => {
    await using dir = await TempDir.make();
    const { code, stderr, stdout } = await runCli(['server', '--data', dir.path, '--host', '0.0.0.0', '--port', '0']);
    expect(code).toBe(USAGE_CODE);
    expect(stderr).toMatch(/listen\.host: is not loopback/);
    expect(stdout).toBe('');
  });
});

describe('--print-config', () => {
  it('prints what is in force, the environment over the file, and no secret', async () => {
    const text =
      'agent: { auth_token: "${TEST_KEY}" }\nserver: { proxy: "http://me:sesame@proxy:3128" }\ntasks: { concurrency: 2 }';
    const env = { TEST_KEY: 'dbk_verysecret', DRAWBRIDGE_TASKS_CONCURRENCY: '7' };
    const { code, stdout, stderr } = await check('agent', text, '--print-config', env);
    expect(code).toBe(0);
    expect(stdout).toMatch(/concurrency: 7/);
    expect(stdout).toMatch(/heartbeat:\n\s+interval: 20/);
    expect(stdout + stderr).not.toMatch(/verysecret|sesame/);
  });
});

describe('--print-config, read again', () => {
  it.each([
    [
      'server',
      `store: { url: 'postgres://me:sesame@db/x?password=sesame' }
bus: { url: 'nats://sesame@bus' }
listen: { host: 0.0.0.0, tls: { cert: c.pem, key: k.pem } }
auth: { oidc: { issuer: 'https://id.example.com', client_id: '$\${x}', client_secret: sesame } }
websocket_timeout: 50`,
    ],
    [
      'agent',
      `server: { url: 'wss://control.example.com', proxy: 'http://me:sesame@proxy:3128' }
apiKey: sesame
heartbeatIntervalMs: 10000
providers: { mine: { binary: /opt/mine, args: ['$\${HOME}', '{task_file}'] } }
logging: { file: a.log, max_bytes: 0 }`,
    ],
  ] as const)('is the configuration of the %s, without its secrets', async (program, text) => {
    const first = await check(program, text, '--print-config');
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(first.stdout).not.toContain('sesame');
    const second = await check(program, first.stdout, '--print-config');
    expect(second).toMatchObject({ code: 0, stderr: '', stdout: first.stdout });
  });
});

it('log files of both programs are put aside by size, and hold what standard error said', async () => {
  await using dir = await TempDir.make();
  const logging = (name: string) => ({ level: 'debug', file: dir.join(name), max_bytes: 300, keep: 100 });
  await using controlPlane = await TestControlPlane.start({ env: envOf(logging('server.log')) });
  await using agent = await TestAgent.start({ controlPlane, config: { logging: logging('agent.log') } });
  await runTask(controlPlane, { agent: agent.name, instructions: 'true' });
  await agent.stop();
  await controlPlane.stop();
  for (const [name, daemon] of [
    ['agent.log', agent],
    ['server.log', controlPlane],
  ] as const) {
    const files = (await readdir(dir.path)).filter((file) => file.startsWith(name));
    expect(files.length).toBeGreaterThan(1);
    const ages = Array.from(files, (_, age) => (age === 0 ? name : `${name}.${age}`)).toReversed();
    const texts = await Promise.all(ages.map((file) => readFile(dir.join(file), 'utf8')));
    const lines = texts.join('').trimEnd().split('\n');
    expect(lines.map((line): unknown => JSON.parse(line))).toEqual(daemon.logs.filter((line) => !('text' in line)));
  }
});

describe("the agent's own file", () => {
  it('forbids an operation, and nothing remote can widen it', async () => {
    await using controlPlane = await TestControlPlane.start();
    await using agent = await TestAgent.start({
      controlPlane,
      config: { security: { operations: { deny: ['task.*', 'config.get'] } } },
    });

    const task = await runTask(controlPlane, { agent: agent.name, instructions: 'echo ran' });
    expect(task).toMatchObject({ state: 'failed', error: { code: 'operation_not_allowed' }, output_bytes: null });

    const path = `/api/v1/agents/${agent.name}/commands`;
    const set = await controlPlane.api('POST', path, { operation: 'config.set', params: { security: {} } });
    expect(set).toMatchObject({ status: 422, body: { code: 'invalid_request' } });
    const get = await controlPlane.api('POST', path, { operation: 'config.get' });
    expect(get).toMatchObject({ status: 200, body: { state: 'failed', error: { code: 'operation_not_allowed' } } });
    const info = await controlPlane.api('POST', path, { operation: 'agent.info' });
    expect(info).toMatchObject({ body: { data: { operations: expect.not.arrayContaining(['task.start']) } } });
    await agent.waitForLog(({ msg, operation }) => /blocked/.test(String(msg)) && operation === 'task.start');

    const again = await runTask(controlPlane, { agent: agent.name, instructions: 'echo ran' });
    expect(again).toMatchObject({ state: 'failed', error: { code: 'operation_not_allowed' } });
  });

  it('blocks a provider without execute_task, and says so in the log', async () => {
    await using controlPlane = await TestControlPlane.start();
    await using agent = await TestAgent.start({
      controlPlane,
      config: { providers: { shell: { actions: ['stream_chunk'] } } },
    });
    const task = await runTask(controlPlane, { agent: agent.name, instructions: 'echo ran' });
    const message = 'Action execute_task blocked for provider shell';
    expect(task).toMatchObject({ state: 'failed', error: { code: 'operation_not_allowed', message } });
    await agent.waitForLog((line) => JSON.stringify(line).includes(message));
  });

  it('keeps the output of a provider without stream_chunk until its task has ended', async () => {
    await using controlPlane = await TestControlPlane.start();
    await using agent = await TestAgent.start({
      controlPlane,
      config: { providers: { shell: { actions: ['execute_task'] } } },
    });
    await using dir = await TempDir.make();
    const go = dir.join('go');
    const wrote = dir.join('wrote');
    const instructions = `echo first; touch ${wrote}; until [ -e ${go} ]; do sleep 0.02; done; echo last`;
    const { DRAWBRIDGE_URL, DRAWBRIDGE_TOKEN } = {
      DRAWBRIDGE_URL: controlPlane.url,
      DRAWBRIDGE_TOKEN: controlPlane.token,
    };
    await using cli = await streamCli(['run', agent.name, '--provider', 'shell', instructions], {
      env: { DRAWBRIDGE_URL, DRAWBRIDGE_TOKEN },
    });
    await eventually(() => readFile(wrote, 'utf8').then(() => true), { what: 'the first line to be written' });
    // A task of another provider's kind would have shown its line by the time a whole second task has run.
    await runTask(controlPlane, { agent: agent.name, instructions: 'true' });
    expect(cli.stdout.text).toBe('');
    await writeFile(go, '');
    expect(await cli.exited()).toMatchObject({ code: 0 });
    expect(cli.stdout.text).toBe('first\nlast\n');
  });

  it('adds a program of its own as a provider, whose values never meet a shell', async () => {
    await using controlPlane = await TestControlPlane.start();
    await using dir = await TempDir.make();
    const program = dir.join('upper');
    await writeFile(program, '#!/bin/sh\necho "mode=$2"; tr a-z A-Z < "$1"\n', { mode: 0o755 });
    await using agent = await TestAgent.start({
      controlPlane,
      config: { providers: { upper: { kind: 'command', binary: program, args: ['{task_file}', '{mode}'] } } },
    });
    const run = (mode: string) =>
      controlPlane.api('POST', '/api/v1/tasks', {
        agent_id: agent.name,
        provider: 'upper',
        instructions: 'hush',
        mode,
      });
    const { body } = await run('loud');
    const task = await endOfTask(controlPlane, idOf(body));
    expect(task).toMatchObject({ state: 'succeeded', exit_code: 0 });
    expect(await outputOf(controlPlane, task.id)).toBe('mode=loud\nHUSH');

    const injected = await endOfTask(controlPlane, idOf((await run('--help;id')).body));
    expect(injected).toMatchObject({ state: 'failed', error: { code: 'invalid_request' } });
    // What agent.yaml does not list is not there.
    const shell = await runTask(controlPlane, { agent: agent.name, instructions: 'true' });
    expect(shell).toMatchObject({ state: 'failed', error: { code: 'provider_unavailable' } });
  });
});

describe('an agent with an API key', () => {
  it('connects without enrolling and runs tasks', async () => {
    await using controlPlane = await TestControlPlane.start();
    const made = await controlPlane.api('POST', '/api/v1/agents', { name: 'keyed' });
    expect(made).toMatchObject({ status: 201, body: { name: 'keyed', auth_token: expect.stringMatching(/^dbk_/) } });
    const { agent_id: id, auth_token: token } = textsOf(made.body);
    const nonce = 'A'.repeat(43);
    const { public_key: serverKey } = textsOf((await controlPlane.api('GET', `/api/v1/identity?nonce=${nonce}`)).body);
    await using agent = await TestAgent.start({
      controlPlane,
      isEnrolled: true,
      env: { KEY: token },
      config: { server: { url: controlPlane.url, server_key: serverKey }, agent: { id, auth_token: '${KEY}' } },
    });
    expect(agent.agentId).toBe(id);
    const task = await runTask(controlPlane, { agent: 'keyed', instructions: 'echo hello' });
    expect(task).toMatchObject({ state: 'succeeded' });
    expect(await outputOf(controlPlane, task.id)).toBe('hello\n');
    expect(JSON.stringify(agent.logs)).not.toContain(token);
  });

  it('is turned away with a wrong key, and told to rotate it', async () => {
    await using controlPlane = await TestControlPlane.start();
    const made = await controlPlane.api('POST', '/api/v1/agents', { name: 'keyed' });
    await using agent = await TestAgent.start({
      controlPlane,
      isEnrolled: true,
      config: {
        server: { url: controlPlane.url },
        agent: { id: textsOf(made.body)['agent_id'], auth_token: `dbk_${'x'.repeat(43)}` },
      },
      waitUntilConnected: false,
    });
    await agent.waitForLog(({ msg }) => /rotated/.test(String(msg)));
    await agent.waitForLog(({ msg }) => String(msg).startsWith('Auth rejected'));
  });
});

describe('a data directory', () => {
  it('takes one agent', async () => {
    await using controlPlane = await TestControlPlane.start();
    await using agent = await TestAgent.start({ controlPlane });
    const second = await runCli(['agent', '--data', agent.dataDir]);
    expect(second.code).toBe(1);
    expect(second.stderr).toMatch(/another agent runs on/);
    expect(await runTask(controlPlane, { agent: agent.name, instructions: 'true' })).toMatchObject({
      state: 'succeeded',
    });
  });

  it('takes one control plane', async () => {
    await using controlPlane = await TestControlPlane.start();
    await using agent = await TestAgent.start({ controlPlane });
    const second = await runCli(['server', '--data', controlPlane.dataDir, '--port', '0']);
    expect(second.code).toBe(1);
    expect(second.stderr).toMatch(/already|another/);
    expect(second.stdout).toBe('');
    expect(await runTask(controlPlane, { agent: agent.name, instructions: 'true' })).toMatchObject({
      state: 'succeeded',
    });
  });
});

function idOf(body: unknown): string {
  const { id } = textsOf(body);
  if (id === undefined) throw new Error(`no id in ${JSON.stringify(body)}`);
  return id;
}

/** The members of an API answer that are texts. */
function textsOf(body: unknown): Record<string, string> {
  const members = typeof body === 'object' && body !== null ? Object.entries(body) : [];
  return Object.fromEntries(members.filter((member): member is [string, string] => typeof member[1] === 'string'));
}

/** The variables that say the same as a `logging` section. */
function envOf(logging: Readonly<Record<string, string | number>>): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(logging).map(([key, value]) => [`DRAWBRIDGE_LOGGING_${key.toUpperCase()}`, `${value}`]),
  );
}
