import { IssuedToken, RoleView, SessionView, TokenView, TunnelView, UserView } from '@drawbridge/client';
import { TestAgent, TestControlPlane, outputOf, requires, runTask } from '@drawbridge/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { CliUser, PASSWORD } from './cli-user.ts';

const NEW_PASSWORD = 'staple battery horse';
const PROMPT_MS = 20_000;
const Link = z.strictObject({ url: z.url() });
const Who = z.looseObject({ name: z.string(), sessions: z.array(SessionView) });

const parts = new AsyncDisposableStack();
let plane: TestControlPlane;
let admin: CliUser;

beforeAll(async () => {
  plane = parts.use(await TestControlPlane.start());
  parts.use(await TestAgent.start({ controlPlane: plane, name: 'build-1', labels: { site: 'lab' } }));
  parts.use(await TestAgent.start({ controlPlane: plane, name: 'prod-1', labels: { site: 'prod' } }));
  admin = parts.use(await CliUser.make());
  await admin.run(['login', plane.url, '--token', '-'], { input: plane.token });
});
afterAll(() => parts.disposeAsync());

const documents = (...args: string[]) => admin.documents(args);

/** Somebody whom the admin has let in with a password, signed in. */
async function person(name: string, ...roles: string[]): Promise<CliUser> {
  const options = roles.flatMap((role) => ['--role', role]);
  await admin.documents(['users', 'create', name, '--password-stdin', ...options], { input: PASSWORD });
  const user = await CliUser.make();
  const { code } = await signIn(user, name);
  expect(code).toBe(0);
  return user;
}

function signIn(user: CliUser, name: string, password = PASSWORD, ...options: string[]) {
  return user.run(['login', plane.url, '--user', name, ...options], { input: password });
}

describe('users', () => {
  it('are made with roles, listed, shown, changed and removed', async () => {
    const [made] = await documents('users', 'create', 'zoe', '--role', 'viewer', '--role', 'operator:site=lab');
    expect(UserView.parse(made).roles).toEqual(
      expect.arrayContaining([
        { role: 'viewer', selector: '' },
        { role: 'operator', selector: 'site=lab' },
      ]),
    );
    expect((await documents('users', 'ls')).map((one) => UserView.parse(one).name)).toEqual(
      expect.arrayContaining(['admin', 'zoe']),
    );
    const [changed] = await documents('users', 'set', 'zoe', '--name', 'zora', '--role', 'viewer:site=lab');
    expect(UserView.parse(changed)).toMatchObject({ name: 'zora', roles: [{ role: 'viewer', selector: 'site=lab' }] });
    const [stripped] = await documents('users', 'set', 'zora', '--no-roles');
    expect(UserView.parse(stripped).roles).toEqual([]);
    expect(UserView.parse((await documents('users', 'show', 'zora'))[0]).has_password).toBe(false);
    expect(await documents('users', 'rm', 'zora')).toEqual([{ user: 'zora', removed: true }]);
  });

  it('may do what their roles give, on the machines they were given', async () => {
    await using ann = await person('ann', 'viewer', 'operator:site=lab');
    const task = ['-p', 'shell', 'true'];
    expect((await ann.run(['run', 'build-1', ...task])).code).toBe(0);
    expect(await ann.refusal(['run', 'prod-1', ...task])).toMatchObject({ exit: 3, code: 'forbidden' });
    await documents('users', 'set', 'ann', '--role', 'viewer');
    expect((await ann.run(['run', 'build-1', ...task])).code).toBe(3);
  });

  it('are let in by a link that works once', async () => {
    await documents('users', 'create', 'lea', '--role', 'viewer');
    const { url } = Link.parse((await documents('users', 'link', 'lea'))[0]);
    const code = url.split('#')[1];
    const enter = async () => (await plane.api('POST', '/api/v1/sign-in', { code }, { origin: plane.url })).status;
    expect([await enter(), await enter()]).toEqual([200, 401]);
  });

  it('are signed out, and may sign in again', async () => {
    await using kim = await person('kim', 'viewer');
    expect(await documents('users', 'sign-out', 'kim')).toEqual([{ user: 'kim', signed_out: true }]);
    expect(await kim.refusal(['agents', 'ls'])).toMatchObject({ exit: 3, code: 'unauthenticated' });
    expect((await signIn(kim, 'kim')).code).toBe(0);
  });

  it('are shut out with their API tokens until they are let in again', async () => {
    await using tom = await person('tom', 'viewer');
    const [token] = await tom.documents(['tokens', 'create', 'laptop', '--all-verbs', '--expires', '8h']);
    const env = { DRAWBRIDGE_URL: plane.url, DRAWBRIDGE_TOKEN: IssuedToken.parse(token).token };
    const withToken = async () => (await tom.run(['agents', 'ls'], { env })).code;
    expect(await withToken()).toBe(0);
    expect(UserView.parse((await documents('users', 'set', 'tom', '--disable'))[0]).disabled).toBe(true);
    expect((await tom.run(['agents', 'ls'])).code).toBe(3);
    expect(await withToken()).toBe(3);
    expect((await signIn(tom, 'tom')).code).toBe(3);
    await documents('users', 'set', 'tom', '--enable');
    expect(await withToken()).toBe(0);
    expect((await signIn(tom, 'tom')).code).toBe(0);
  });

  it('are given another password from standard input, which is shown nowhere', async () => {
    await using eve = await person('eve', 'viewer');
    const set = await admin.run(['users', 'set', 'eve', '--password-stdin'], { input: NEW_PASSWORD });
    expect(set).toMatchObject({ code: 0, stdout: 'eve: viewer\n', stderr: '' });
    expect((await signIn(eve, 'eve')).code).toBe(3);
    expect((await signIn(eve, 'eve', NEW_PASSWORD)).code).toBe(0);
  });
});

it('roles are made of verbs, changed, given and removed', async () => {
  const names = async () => (await documents('roles', 'ls')).map((one) => RoleView.parse(one).name);
  expect(await names()).toEqual(['viewer', 'operator', 'admin']);
  const verbs = ['agent.read', 'task.read', 'task.run'].flatMap((verb) => ['--verb', verb]);
  const [made] = await documents('roles', 'create', 'runner', ...verbs, '--description', 'runs');
  expect(RoleView.parse(made)).toMatchObject({ verbs: ['agent.read', 'task.read', 'task.run'], description: 'runs' });
  await using max = await person('max', 'runner');
  expect((await max.run(['run', 'build-1', '-p', 'shell', '--detach', 'true'])).code).toBe(0);
  const [narrowed] = await documents('roles', 'set', 'runner', '--verb', 'agent.read', '--verb', 'task.read');
  expect(RoleView.parse(narrowed)).toMatchObject({ verbs: ['agent.read', 'task.read'], description: 'runs' });
  expect((await max.run(['run', 'build-1', '-p', 'shell', '--detach', 'true'])).code).toBe(3);
  expect(RoleView.parse((await documents('roles', 'show', 'runner'))[0]).built_in).toBe(false);
  expect(await documents('roles', 'rm', 'runner')).toEqual([{ role: 'runner', removed: true }]);
  expect((await max.run(['whoami'])).stdout).not.toContain('runner');
});

describe('API tokens', () => {
  it('are shown once, alone on standard output, and can do no more than was asked for', async () => {
    const wanted = ['tokens', 'create', 'ci', '--verb', 'agent.read', '--verb', 'task.read', '--expires', '30d'];
    const { stdout, stderr } = await admin.run([...wanted, '-l', 'site=lab']);
    expect(stdout).toMatch(/^dbt_\S+\n$/);
    expect(stderr).toMatch(/^This is shown once, and works until \S+:\n$/);
    const env = { DRAWBRIDGE_URL: plane.url, DRAWBRIDGE_TOKEN: stdout.trim() };
    expect((await admin.run(['agents', 'ls'], { env })).stdout).toMatch(/^build-1 .*\n$/m);
    expect((await admin.run(['agents', 'ls'], { env })).stdout).not.toContain('prod-1');
    expect((await admin.run(['run', 'build-1', '-p', 'shell', 'true'], { env })).code).toBe(3);
    const listed = await admin.run(['tokens', 'ls']);
    expect(listed.stdout).toMatch(/ ci +agent\.read task\.read +site=lab +in 29 d /);
    expect(listed.stdout).not.toContain(stdout.trim());
  });

  it('are listed, of oneself or of everybody, and revoked', async () => {
    await using pat = await person('pat', 'viewer');
    const [made] = await pat.documents(['tokens', 'create', 'laptop', '--all-verbs', '--expires', '8h']);
    const { id, token, verbs } = IssuedToken.parse(made);
    expect(verbs).toBeNull();
    const ids = async (user: CliUser, ...args: string[]) =>
      (await user.documents(['tokens', 'ls', ...args])).map((one) => TokenView.parse(one).id);
    expect(await ids(pat)).toEqual([id]);
    expect(await ids(admin)).not.toContain(id);
    expect(await ids(admin, '--all')).toContain(id);
    expect((await admin.run(['tokens', 'ls', '--all'])).stdout).toMatch(/ laptop +pat +all /);
    expect(await pat.refusal(['tokens', 'ls', '--all'])).toMatchObject({ exit: 3 });
    expect(await pat.documents(['tokens', 'rm', id])).toEqual([{ id, revoked: true }]);
    const env = { DRAWBRIDGE_URL: plane.url, DRAWBRIDGE_TOKEN: token };
    expect((await pat.run(['agents', 'ls'], { env })).code).toBe(3);
    expect((await pat.run(['tokens', 'ls'])).stdout).toContain('revoked');
  });
});

describe('passwd', () => {
  it('takes the old and the new one from a pipe, and ends all other sessions', async () => {
    await using sam = await person('sam', 'viewer');
    await using elsewhere = await CliUser.make();
    await signIn(elsewhere, 'sam');
    const input = `${PASSWORD}\n${NEW_PASSWORD}\n`;
    expect(await sam.documents(['passwd'], { input })).toEqual([{ user: 'sam', changed: true }]);
    expect((await sam.run(['agents', 'ls'])).code).toBe(0);
    expect((await elsewhere.run(['agents', 'ls'])).code).toBe(3);
    expect((await signIn(elsewhere, 'sam', NEW_PASSWORD)).code).toBe(0);
  });

  it('changes nothing for who does not know the old one, or chooses a weak one', async () => {
    await using joe = await person('joe', 'viewer');
    const refusal = (input: string) => joe.refusal(['passwd'], { input });
    expect(await refusal(`wrong ${PASSWORD}\n${NEW_PASSWORD}\n`)).toMatchObject({ exit: 3, code: 'forbidden' });
    expect(await refusal(`${PASSWORD}\nshort\n`)).toMatchObject({ exit: 2, code: 'password_weak' });
    expect(await refusal(`${NEW_PASSWORD}\n`)).toMatchObject({ exit: 2, code: 'usage' });
    expect((await signIn(joe, 'joe')).code).toBe(0);
  });

  it.runIf(requires('terminal'))('asks in a terminal, shows nothing, and finds a slip', async () => {
    await using una = await person('una', 'viewer');
    const { stdout, code } = await passwdInTerminal(una, [PASSWORD, NEW_PASSWORD, `${NEW_PASSWORD}s`]);
    expect(code).toBe(2);
    expect(stdout).toContain('two different passwords');
    const again = await passwdInTerminal(una, [PASSWORD, NEW_PASSWORD, NEW_PASSWORD]);
    expect(again.code).toBe(0);
    expect(`${stdout}${again.stdout}`).not.toContain('horse');
    expect((await signIn(una, 'una', NEW_PASSWORD)).code).toBe(0);
  });
});

describe('sessions', () => {
  it('are shown, and ended one by one or all together', async () => {
    await using ida = await person('ida', 'viewer');
    await using elsewhere = await CliUser.make();
    await signIn(elsewhere, 'ida');
    const mine = await ida.documents(['whoami', '--sessions']);
    const sessions = Who.parse(mine[0]).sessions;
    expect(sessions.map(({ method }) => method)).toEqual(['password', 'password']);
    expect(sessions.filter(({ current }) => current)).toHaveLength(1);
    const other = sessions.find(({ current }) => !current)?.id ?? '';
    expect(await ida.documents(['logout', '--session', other])).toEqual([{ session: other, signed_out: true }]);
    expect((await elsewhere.run(['agents', 'ls'])).code).toBe(3);
    await signIn(elsewhere, 'ida');
    expect((await ida.run(['whoami', '--sessions'])).stdout).toMatch(/^SIGN-IN +WHERE[\s\S]*\(this one\)/m);
    expect(await ida.documents(['logout', '--everywhere'])).toMatchObject([{ url: plane.url, signed_out: true }]);
    for (const user of [ida, elsewhere]) expect((await user.run(['agents', 'ls'])).code).toBe(3);
  });
});

it('tunnels are listed with the names of their agents', async () => {
  const { id } = await runTask(plane, { agent: 'build-1', instructions: 'echo hi' });
  expect(await outputOf(plane, id)).toBe('hi\n');
  const tunnels = (await documents('tunnels', 'ls')).map((one) => TunnelView.parse(one));
  expect(tunnels).toContainEqual(expect.objectContaining({ kind: 'system', state: 'open' }));
  expect((await admin.run(['tunnels', 'ls'])).stdout).toMatch(/ build-1 +system +open /);
});

/** `passwd` in a terminal, where each of `lines` is typed when it is asked for. */
async function passwdInTerminal(user: CliUser, lines: readonly string[]) {
  await using terminal = await user.inTerminal(['passwd']);
  for (const [index, line] of lines.entries()) {
    const questions = new RegExp(`(?:[^:]*: ){${index + 1}}`);
    await terminal.waitFor(() => questions.exec(terminal.stdout.text) ?? undefined, {
      what: 'a question',
      timeoutMs: PROMPT_MS,
    });
    terminal.write(`${line}\r`);
  }
  const { code } = await terminal.exited(PROMPT_MS);
  return { code, stdout: terminal.stdout.text };
}
