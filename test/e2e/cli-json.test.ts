import {
  AgentConfigView,
  AgentView,
  AuditRecord,
  AuditReport,
  BulkRunView,
  BulkTargetView,
  GroupView,
  HealthSample,
  IssuedJoinToken,
  IssuedTunnel,
  JoinTokenView,
  TaskView,
  TunnelView,
} from '@drawbridge/client';
import { TestAgent, TestControlPlane, eventually } from '@drawbridge/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { CliUser, Refusal, makeUser } from './cli-user.ts';

const UNKNOWN_ID = '01a1fe6b-4ad7-73ce-bd40-b474a2723683';
const Output = z.strictObject({ type: z.literal('output'), offset: z.number(), text: z.string() });
const Started = z.strictObject({ type: z.literal('task'), task: TaskView });
const BulkLine = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('run'), run: BulkRunView }),
  z.strictObject({ type: z.literal('target'), target: BulkTargetView }),
  z.strictObject({ type: z.literal('outcome'), run: BulkRunView }),
]);
const Outcome = z.strictObject({ type: z.literal('outcome'), task: TaskView });

const parts = new AsyncDisposableStack();
let plane: TestControlPlane;
let user: CliUser;

beforeAll(async () => {
  plane = parts.use(await TestControlPlane.start());
  parts.use(await TestAgent.start({ controlPlane: plane, name: 'build-1', labels: { site: 'lab' } }));
  await plane.api('POST', '/api/v1/agents', { name: 'away', labels: { site: 'roof' } });
  user = parts.use(await CliUser.make());
  await user.run(['login', plane.url, '--token', '-'], { input: plane.token });
});
afterAll(() => parts.disposeAsync());

const documents = (...args: string[]) => user.documents(args);
const refusal = (...args: string[]) => user.refusal(args);

async function idOfTask(...args: string[]): Promise<string> {
  return TaskView.parse((await documents('run', 'build-1', '-p', 'shell', '--detach', ...args))[0]).id;
}

describe('agents', () => {
  it('are listed, all of them or those that fit', async () => {
    const names = async (...args: string[]) =>
      (await documents('agents', 'ls', ...args)).map((one) => AgentView.parse(one).name);
    expect(await names()).toEqual(['away', 'build-1']);
    expect(await names('--selector', 'site=lab')).toEqual(['build-1']);
    expect(await names('-l', 'site=lab', '--status', 'offline')).toEqual([]);
    expect(await names('--status', 'offline')).toEqual(['away']);
  });

  it('are shown by name and by id', async () => {
    const [byName] = await documents('agents', 'show', 'build-1');
    const { id, name } = AgentView.parse(byName);
    const [byId] = await documents('agents', 'show', id);
    expect(AgentView.parse(byId).name).toBe(name);
  });

  it('are renamed and labelled', async () => {
    const [labelled] = await documents('agents', 'label', 'away', 'env=prod', 'site-');
    expect(AgentView.parse(labelled).labels).toEqual({ env: 'prod' });
    const [renamed] = await documents('agents', 'rename', 'away', 'far-away');
    expect(AgentView.parse(renamed).name).toBe('far-away');
    expect((await refusal('agents', 'rename', 'far-away', 'build-1')).exit).toBe(5);
    await documents('agents', 'rename', 'far-away', 'away');
  });

  it('say how they fare, and what they are told to do', async () => {
    expect(await documents('agents', 'health', 'away')).toEqual([]);
    z.array(HealthSample).parse(await documents('agents', 'health', 'build-1', '--since', '2d'));
    const [told] = await documents('agents', 'config', 'build-1', '--set', 'heartbeat_interval=7');
    expect(AgentConfigView.parse(told).wanted.heartbeat_interval).toBe(7);
    const [back] = await documents('agents', 'config', 'build-1', '--set', 'heartbeat_interval=default');
    expect(AgentConfigView.parse(back).wanted.heartbeat_interval).toBeNull();
    expect(AgentConfigView.parse((await documents('agents', 'config', 'build-1'))[0]).wanted).toEqual(
      AgentConfigView.parse(back).wanted,
    );
  });

  it('are revoked', async () => {
    await plane.api('POST', '/api/v1/agents', { name: 'old' });
    expect(await documents('agents', 'revoke', 'old')).toEqual([{ agent: 'old', revoked: true }]);
    expect(await refusal('agents', 'show', 'old')).toMatchObject({ exit: 4, code: 'agent_not_found' });
  });
});

describe('tasks', () => {
  it('are run: the task, its output, its outcome', async () => {
    const lines = await documents('run', 'build-1', '-p', 'shell', 'echo hi');
    Started.parse(lines[0]);
    expect(
      lines
        .slice(1, -1)
        .map((line) => Output.parse(line).text)
        .join(''),
    ).toBe('hi\n');
    expect(Outcome.parse(lines.at(-1)).task.state).toBe('succeeded');
  });

  it('are listed by state, agent and labels', async () => {
    const id = await idOfTask('exit 3');
    await eventually(async () => TaskView.parse((await documents('tasks', 'show', id))[0]).ended_at, {
      what: 'the end',
    });
    const ids = async (...args: string[]) =>
      (await documents('tasks', 'ls', ...args)).map((one) => TaskView.parse(one).id);
    expect(await ids('--state', 'failed', '--agent', 'build-1')).toEqual([id]);
    expect(await ids('--state', 'running')).toEqual([]);
    expect(await ids('-l', 'site=lab', '--limit', '1')).toEqual([id]);
    expect(await ids('-l', 'site=moon')).toEqual([]);
  });

  it('show what they wrote and what came of them', async () => {
    const id = await idOfTask('echo out; echo err >&2');
    const [ended] = await eventually(() => documents('tasks', 'show', id), {
      what: 'the end',
      until: ([task]) => TaskView.parse(task).ended_at !== null,
    });
    expect(TaskView.parse(ended).output_bytes).toBe(8);
    const text = async (...args: string[]) =>
      (await documents(...args)).map((line) => Output.parse(line).text).join('');
    expect(await text('tasks', 'logs', id)).toBe('out\nerr\n');
    expect(await text('tasks', 'logs', '--since', '4', id)).toBe('err\n');
    expect(await text('tasks', 'result', id)).toBe('out\n');
    expect(Outcome.parse((await documents('tasks', 'logs', '-f', id)).at(-1)).task.id).toBe(id);
  });

  it('are cancelled', async () => {
    const id = await idOfTask('sleep 600');
    expect(TaskView.parse((await documents('tasks', 'cancel', id))[0]).id).toBe(id);
  });
});

it('groups are made, listed, shown, run on and removed', async () => {
  const [made] = await documents('groups', 'create', 'lab', '-l', 'site=lab', '--description', 'the lab');
  expect(GroupView.parse(made)).toMatchObject({ name: 'lab', selector: 'site=lab', description: 'the lab' });
  expect((await documents('groups', 'ls')).map((one) => GroupView.parse(one).name)).toEqual(['lab']);
  expect(await documents('groups', 'show', 'lab')).toEqual([made]);
  expect((await documents('groups', 'agents', 'lab')).map((one) => AgentView.parse(one).name)).toEqual(['build-1']);
  const lines = (await documents('groups', 'run', 'lab', '--operation', 'agent.ping')).map((one) =>
    BulkLine.parse(one),
  );
  expect(lines[0]?.type).toBe('run');
  expect(lines.at(-1)).toMatchObject({ type: 'outcome', run: { state: 'succeeded' } });
  expect(lines.slice(1, -1).every(({ type }) => type === 'target')).toBe(true);
  expect(await documents('groups', 'rm', 'lab')).toEqual([{ group: 'lab', removed: true }]);
});

it('the audit log is listed, verified and exported', async () => {
  await documents('agents', 'label', 'build-1', 'site=lab');
  const [newest] = await documents('audit', 'ls', '--agent', 'build-1', '--verb', 'admin.agents', '--limit', '1');
  expect(AuditRecord.parse(newest)).toMatchObject({ result: 'allowed' });
  expect(AuditReport.parse((await documents('audit', 'verify'))[0])).toMatchObject({ ok: true, problems: [] });
  const { code, stdout } = await user.run(['audit', 'export']);
  expect(code).toBe(0);
  expect(JSON.parse(stdout.split('\n', 1)[0] ?? '')).toMatchObject({ format: 'drawbridge-audit/1' });
});

it('join tokens are made, listed and revoked', async () => {
  const [issued] = await documents('join-token', 'create', '--ttl', '10m', '--uses', '2', '--label', 'site=lab');
  const { id } = IssuedJoinToken.parse(issued);
  const listed = (await documents('join-token', 'ls')).map((one) => JoinTokenView.parse(one));
  expect(listed.find((one) => one.id === id)).toMatchObject({ uses: 2, uses_left: 2, labels: { site: 'lab' } });
  expect(await documents('join-token', 'rm', id)).toEqual([{ id, revoked: true }]);
});

it('tunnels are listed, shown and closed', async () => {
  const made = await plane.api('POST', '/api/tunnel/request', {
    agent_id: 'build-1',
    protocol: 'ssh',
    target: { host: '127.0.0.1', port: 22 },
  });
  const { tunnel_id: id } = IssuedTunnel.parse(made.body);
  const listed = await documents('tunnels', 'ls', '--agent', 'build-1');
  const shown = TunnelView.parse((await documents('tunnels', 'show', id))[0]);
  expect(listed.map((one) => TunnelView.parse(one).tunnel_id)).toContain(id);
  expect(shown).toMatchObject({ protocol: 'ssh', target: { port: 22 }, legs: { operator: false } });
  const { stdout } = await user.run(['tunnels', 'show', id]);
  expect(stdout).toMatch(/^target +127\.0\.0\.1:22$/m);
  expect(stdout).toMatch(/^bytes +0 B to the agent, 0 B from it$/m);
  expect(await documents('tunnels', 'close', id)).toEqual([{ tunnel_id: id, closed: true }]);
  const states = async (...args: string[]) =>
    (await documents('tunnels', 'ls', ...args))
      .map((one) => TunnelView.parse(one))
      .filter(({ kind }) => kind === 'operator');
  expect(await states()).toEqual([]);
  expect((await states('--all')).map(({ state }) => state)).toEqual(['closed']);
  expect(await states('--state', 'active')).toEqual([]);
});

it('a sign-in link is one document', async () => {
  expect(z.strictObject({ url: z.url() }).parse((await documents('sign-in-link'))[0]).url).toContain('/sign-in#');
});

describe('what goes wrong is one document on standard error, and an exit code', () => {
  it.each([
    [['agents', 'show', 'nobody'], 4, 'agent_not_found'],
    [['agents', 'label', 'build-1', 'nothing'], 2, 'usage'],
    [['agents', 'ls', '--selector', '=='], 2, 'invalid_request'],
    [['agents', 'ls', '--no-such'], 2, 'usage'],
    [['agents', 'lst'], 2, 'usage'],
    [['agents', 'ls', '--context', 'nowhere'], 2, 'usage'],
    [['tasks', 'show', UNKNOWN_ID], 4, 'task_not_found'],
    [['tasks', 'ls', '--limit', '0'], 2, 'usage'],
    [['tasks', 'ls', '--state', 'asleep'], 2, 'usage'],
    [['run', 'away', '-p', 'shell', 'true'], 6, 'agent_offline'],
    [['run', 'build-1', '-p', 'shell'], 2, 'usage'],
    [['join-token', 'create', '--ttl', 'soon'], 2, 'usage'],
    [['join-token', 'create', '--uses', 'many'], 2, 'usage'],
    [['join-token', 'rm', UNKNOWN_ID], 4, 'join_token_not_found'],
    [['agents', 'config', 'nobody'], 4, 'agent_not_found'],
    [['agents', 'config', 'build-1', '--set', 'colour=red'], 2, 'usage'],
    [['agents', 'health', 'nobody'], 4, 'agent_not_found'],
    [['agents', 'health', 'build-1', '--since', 'yesterday'], 2, 'usage'],
    [['groups', 'show', 'nobody'], 4, 'group_not_found'],
    [['groups', 'agents', 'nobody'], 4, 'group_not_found'],
    [['groups', 'rm', 'nobody'], 4, 'group_not_found'],
    [['groups', 'create', 'two words', '-l', 'site=lab'], 2, 'invalid_request'],
    [['groups', 'create', 'lab'], 2, 'usage'],
    [['groups', 'run', 'lab'], 2, 'usage'],
    [['audit', 'ls', '--result', 'perhaps'], 2, 'usage'],
    [['audit', 'ls', '--limit', '0'], 2, 'usage'],
    [['audit', 'verify', '--expect', '1'], 2, 'usage'],
    [['audit', 'verify', '--key', 'x'], 2, 'usage'],
    [['users', 'show', 'nobody'], 4, 'user_not_found'],
    [['users', 'create', 'two words'], 2, 'invalid_request'],
    [['users', 'create', 'eve', '--role', 'operator:'], 2, 'usage'],
    [['users', 'create', 'eve', '--role', 'nothing'], 4, 'role_not_found'],
    [['users', 'create', 'admin'], 5, 'conflict'],
    [['users', 'set', 'admin'], 2, 'usage'],
    [['users', 'set', 'admin', '--disable', '--enable'], 2, 'usage'],
    [['users', 'set', 'admin', '--role', 'viewer', '--no-roles'], 2, 'usage'],
    [['users', 'set', 'admin', '--no-roles'], 5, 'conflict'],
    [['users', 'set', 'nobody', '--enable'], 4, 'user_not_found'],
    [['users', 'rm', 'admin'], 5, 'conflict'],
    [['users', 'link', 'nobody'], 4, 'user_not_found'],
    [['users', 'sign-out', 'nobody'], 4, 'user_not_found'],
    [['roles', 'show', 'nothing'], 4, 'role_not_found'],
    [['roles', 'create', 'pilot', '--verb', 'task.fly'], 2, 'usage'],
    [['roles', 'create', 'pilot'], 2, 'usage'],
    [['roles', 'create', 'viewer', '--verb', 'task.run'], 5, 'conflict'],
    [['roles', 'set', 'viewer'], 2, 'usage'],
    [['roles', 'set', 'nothing', '--verb', 'task.run'], 4, 'role_not_found'],
    [['roles', 'rm', 'nothing'], 4, 'role_not_found'],
    [['tokens', 'ls', '--every'], 2, 'usage'],
    [['tokens', 'create', 'ci', '--expires', '1d'], 2, 'usage'],
    [['tokens', 'create', 'ci', '--all-verbs'], 2, 'usage'],
    [['tokens', 'create', 'ci', '--all-verbs', '--verb', 'task.run', '--expires', '1d'], 2, 'usage'],
    [['tokens', 'create', 'ci', '--all-verbs', '--expires', 'never'], 2, 'usage'],
    [['tokens', 'create', 'ci', '--all-verbs', '--expires', '1000d'], 2, 'invalid_request'],
    [['tokens', 'rm', UNKNOWN_ID], 4, 'token_not_found'],
    [['tunnels', 'ls', 'build-1'], 2, 'usage'],
    [['tunnels', 'ls', '--state', 'asleep'], 2, 'usage'],
    [['tunnels', 'ls', '--agent', 'nobody'], 4, 'agent_not_found'],
    [['tunnels', 'show', UNKNOWN_ID], 4, 'tunnel_not_found'],
    [['tunnels', 'close', UNKNOWN_ID], 4, 'tunnel_not_found'],
    [['forward', 'nobody', '0:1'], 4, 'agent_not_found'],
    [['forward', 'away', '0:1'], 6, 'agent_offline'],
    [['forward', 'build-1', '1:2:3:4:5'], 2, 'usage'],
    [['forward', 'build-1'], 2, 'usage'],
    [['passwd', 'hunter2'], 2, 'usage'],
    [['passwd'], 3, 'unauthenticated'],
    [['whoami', '--nobody'], 2, 'usage'],
    [['logout', '--everywhere', '--session', '0011223344556677'], 2, 'usage'],
    [['logout', '--session', '0011223344556677'], 4, 'session_not_found'],
    [['context', 'use', 'nowhere'], 2, 'usage'],
    [['context', 'rm', 'nowhere'], 2, 'usage'],
  ])('%j ends with %i: %s', async (args, exit, code) => {
    expect(await refusal(...args)).toMatchObject({ exit, code });
  });

  it('says which request it was', async () => {
    const { stderr } = await user.run(['agents', 'show', 'nobody', '--json']);
    expect(Refusal.parse(JSON.parse(stderr)).request_id).toEqual(expect.any(String));
  });

  it('says who may not, and where one sees why', async () => {
    await makeUser(plane, 'ann');
    await using ann = await CliUser.make();
    await ann.run(['login', plane.url, '--user', 'ann'], { input: 'correct horse battery' });
    const refused = await ann.run(['agents', 'revoke', 'build-1', '--json']);
    expect(refused).toMatchObject({ code: 3, stdout: '' });
    const { code, message } = Refusal.parse(JSON.parse(refused.stderr));
    expect(code).toBe('forbidden');
    expect(message).toContain('"drawbridge whoami" shows your roles');
  });
});

describe('what people see', () => {
  it.each([
    ['nobody', {}, false],
    ['NO_COLOR', { NO_COLOR: '1', FORCE_COLOR: undefined }, false],
    ['FORCE_COLOR', { NO_COLOR: undefined, FORCE_COLOR: '1' }, true],
  ])('is coloured as %s wants it, where there is no terminal', async (_who, env, isColoured) => {
    const { stdout } = await user.run(['agents', 'ls'], { env });
    expect(stdout.includes('\u001b[')).toBe(isColoured);
  });

  it('is a table of what there is', async () => {
    const { stdout } = await user.run(['agents', 'ls']);
    expect(stdout).toMatch(/^NAME +STATUS +SYSTEM +VERSION +LABELS +SINCE\n/);
    expect(stdout).toMatch(/^build-1 +online +\S.* +site=lab +\d+ (s|min) ago$/m);
    expect((await user.run(['agents', 'show', 'build-1'])).stdout).toMatch(/^providers +shell$/m);
  });
});
