import { readFile, stat, writeFile } from 'node:fs/promises';
import { TempDir, TestControlPlane, makePki, requires } from '@drawbridge/testkit';
import type { TestProcess } from '@drawbridge/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { CliUser, PASSWORD, Refusal, makeUser } from './cli-user.ts';

const WhoAmI = z.strictObject({
  url: z.string(),
  context: z.string().nullable(),
  kind: z.enum(['user', 'token']),
  id: z.string(),
  name: z.string().nullable(),
  user_id: z.string().nullable(),
  roles: z.array(z.strictObject({ role: z.string(), selector: z.string() })),
});
const SignedIn = z.strictObject({
  context: z.string(),
  url: z.string(),
  user: z.string(),
  expires_at: z.string().nullable(),
});
const ContextLine = z.strictObject({
  name: z.string(),
  url: z.string(),
  user: z.string().nullable(),
  current: z.boolean(),
  signed_in: z.boolean(),
  expires_at: z.string().nullable(),
});
const Stored = z.object({ contexts: z.array(z.object({ token: z.string().nullable() })) });
const Session = z.object({ token: z.string() });

const PROMPT_MS = 20_000;

const parts = new AsyncDisposableStack();
let plane: TestControlPlane;

beforeAll(async () => {
  plane = parts.use(await TestControlPlane.start());
  // Each for some tests: an account is given five passwords a minute.
  for (const name of ['ann', 'bob', 'eve', 'kim', 'tom']) await makeUser(plane, name);
});
afterAll(() => parts.disposeAsync());

describe('login with a password', () => {
  it('remembers a session that only its owner can read, and that signs later commands in', async () => {
    await using user = await CliUser.make();
    const login = await user.run(['login', plane.url, '--user', 'ann', '--json'], { input: `${PASSWORD}\n` });
    expect({ ...login, stdout: '' }).toMatchObject({ code: 0, stderr: '' });
    const { host } = new URL(plane.url);
    const expected = { context: host, url: plane.url, user: 'ann', expires_at: expect.any(String) };
    expect(SignedIn.parse(JSON.parse(login.stdout))).toEqual(expected);
    expect((await stat(user.dir.join('contexts.json'))).mode & 0o777).toBe(0o600);
    const whoami = WhoAmI.parse(JSON.parse((await user.run(['whoami', '--json'])).stdout));
    expect(whoami).toMatchObject({ url: plane.url, context: host, kind: 'user', name: 'ann' });
    expect(whoami.roles).toEqual([{ role: 'viewer', selector: '' }]);
    expect(await user.run(['agents', 'ls', '--json'])).toMatchObject({ code: 0, stdout: '' });
    expect(await readFile(user.dir.join('contexts.json'), 'utf8')).not.toContain(PASSWORD);
  });

  it('says no in one line to a wrong one, and remembers nothing', async () => {
    await using user = await CliUser.make();
    const login = await user.run(['login', plane.url, '--user', 'bob'], { input: 'wrong horse battery' });
    expect(login).toMatchObject({ code: 3, stdout: '' });
    expect(login.stderr).toBe(`error: ${plane.url} does not let you in: the name or the password is not right\n`);
    await expect(stat(user.dir.join('contexts.json'))).rejects.toThrow('ENOENT');
  });

  it.runIf(requires('terminal'))('asks for it in a terminal, and shows nothing of it', async () => {
    await using user = await CliUser.make();
    await using terminal = await user.inTerminal(['login', plane.url, '--user', 'ann']);
    await terminal.waitFor(() => /Password of ann: /.exec(terminal.stdout.text) ?? undefined, {
      what: 'the question',
      timeoutMs: PROMPT_MS,
    });
    terminal.write(`${PASSWORD}x\u007f\r`);
    expect((await terminal.exited(PROMPT_MS)).code).toBe(0);
    expect(terminal.stdout.text).toContain('as ann');
    expect(terminal.stdout.text).not.toContain('horse');
  });
});

describe('login with a link', () => {
  it('prints a link and a code, and is let in when somebody with a browser says yes', async () => {
    await using user = await CliUser.make();
    await using login = await user.stream(['login', plane.url, '--link', '--json']);
    const { id, code } = await linkOf(login);
    const eve = await evesSession();
    const asked = await plane.api('GET', `/api/v1/login-requests/${id}`, undefined, eve);
    expect(asked.body).toMatchObject({ user_code: code, label: expect.stringMatching(/^command line on /) });
    expect(await answer(id, 'approve', eve)).toBe(204);
    expect((await login.exited(PROMPT_MS)).code).toBe(0);
    expect(SignedIn.parse(JSON.parse(login.stdout.text))).toMatchObject({ user: 'eve', url: plane.url });
    expect((await user.run(['whoami'])).code).toBe(0);
  });

  it('ends with 3 when they say no', async () => {
    await using user = await CliUser.make();
    await using login = await user.stream(['login', plane.url, '--link']);
    expect(await answer((await linkOf(login)).id, 'deny', await evesSession())).toBe(204);
    expect((await login.exited(PROMPT_MS)).code).toBe(3);
    expect(login.stderr.text).toMatch(/^error: .+$/m);
  });

  it('is not waited for where nobody can see it, unless it is asked for', async () => {
    await using user = await CliUser.make();
    const login = await user.run(['login', plane.url]);
    expect(login).toMatchObject({ code: 2, stdout: '' });
    expect(login.stderr).toContain('give --token -, --token-file FILE, --user NAME or --link');
  });
});

describe('login with a token', () => {
  it('takes it from standard input or a file, checked, and never from an argument', async () => {
    await using user = await CliUser.make();
    await writeFile(user.dir.join('token'), `${plane.token}\n`);
    const url = plane.url;
    expect(await user.run(['login', url, '--token', '-'], { input: `${plane.token}\n` })).toMatchObject({ code: 0 });
    expect(await user.run(['login', url, '--token-file', user.dir.join('token')])).toMatchObject({ code: 0 });
    const argument = await user.run(['login', url, '--token', plane.token]);
    expect(argument).toMatchObject({ code: 2, stdout: '' });
    expect(argument.stderr).not.toContain(plane.token);
    const wrong = await user.run(['login', url, '--token', '-', '--context', 'wrong'], {
      input: `dbt_${'x'.repeat(40)}`,
    });
    expect(wrong).toMatchObject({ code: 3, stdout: '' });
    const names = (await user.run(['context', 'ls', '--json'])).stdout
      .trim()
      .split('\n')
      .map((line) => ContextLine.parse(JSON.parse(line)).name);
    expect(names).toEqual([new URL(url).host]);
  });

  it.each([
    ['an empty standard input', ['--token', '-'], 2],
    ['a file that is not there', ['--token-file', '/not/there'], 2],
    ['two ways at once', ['--token', '-', '--user', 'ann'], 2],
  ])('refuses %s', async (_what, options, code) => {
    await using user = await CliUser.make();
    const { code: given, stderr } = await user.run(['login', plane.url, ...options]);
    expect({ given, lines: stderr.trim().split('\n').length }).toEqual({ given: code, lines: 1 });
  });
});

describe('logout', () => {
  it('ends the session that login made: its token works nowhere any more', async () => {
    await using user = await CliUser.make();
    await signIn(user, 'kim', [plane.url]);
    const token = await storedToken(user);
    expect(await statusWith(token)).toBe(200);
    const logout = await user.run(['logout', '--json']);
    expect(JSON.parse(logout.stdout)).toEqual({ context: new URL(plane.url).host, url: plane.url, signed_out: true });
    expect(await statusWith(token)).toBe(401);
    expect(await storedToken(user)).toBeNull();
    const next = await user.run(['agents', 'ls']);
    expect(next).toMatchObject({
      code: 3,
      stderr: `error: not signed in to ${plane.url}: drawbridge login ${plane.url}\n`,
    });
    expect((await user.run(['login', '--user', 'kim'], { input: PASSWORD })).code, 'the address is still known').toBe(
      0,
    );
  });

  it('leaves a token that came from elsewhere alone', async () => {
    await using user = await CliUser.make();
    await user.run(['login', plane.url, '--token', '-'], { input: plane.token });
    expect((await user.run(['logout'])).code).toBe(0);
    expect(await statusWith(plane.token)).toBe(200);
    expect(await storedToken(user)).toBeNull();
  });

  it('forgets the token also when nobody answers, and says so', async () => {
    await using user = await CliUser.make();
    await using other = await TestControlPlane.start();
    await makeUser(other, 'kim');
    await signIn(user, 'kim', [other.url]);
    await other.stop();
    const logout = await user.run(['logout']);
    expect(logout.code).toBe(6);
    expect(logout.stderr).toContain(other.url);
    expect(await storedToken(user)).toBeNull();
  });
});

describe('several control planes', () => {
  it('are kept apart, and one is in use', async () => {
    await using user = await CliUser.make();
    for (const name of ['lab', 'prod']) {
      await signIn(user, 'tom', [plane.url, '--context', name]);
    }
    const current = async (...args: string[]) =>
      WhoAmI.parse(JSON.parse((await user.run([...args, 'whoami', '--json'])).stdout)).context;
    expect(await current()).toBe('prod');
    expect(await current('--context', 'lab')).toBe('lab');
    expect(JSON.parse((await user.run(['context', 'use', 'lab', '--json'])).stdout)).toEqual({
      context: 'lab',
      current: true,
    });
    expect(await current()).toBe('lab');
    const table = (await user.run(['context', 'ls'])).stdout.split('\n').map((line) => line.replaceAll(/ +/g, ' '));
    expect(table).toEqual([
      'CURRENT CONTEXT CONTROL PLANE USER',
      `* lab ${plane.url} tom`,
      ` prod ${plane.url} tom`,
      '',
    ]);
    const token = await storedToken(user, 1);
    expect(JSON.parse((await user.run(['context', 'rm', 'prod', '--json'])).stdout)).toEqual({
      context: 'prod',
      removed: true,
    });
    expect(await statusWith(token)).toBe(401);
    expect((await user.run(['context', 'use', 'prod'])).code).toBe(2);
  });

  it('give way to the environment', async () => {
    await using user = await CliUser.make();
    await signIn(user, 'tom', [plane.url]);
    const env = { DRAWBRIDGE_URL: plane.url, DRAWBRIDGE_TOKEN: plane.token };
    const whoami = WhoAmI.parse(JSON.parse((await user.run(['whoami', '--json'], { env })).stdout));
    expect(whoami).toMatchObject({ context: null, kind: 'token' });
  });

  it('stay as they are when their file cannot be understood', async () => {
    await using user = await CliUser.make();
    await writeFile(user.dir.join('contexts.json'), '{ half a file');
    const login = await user.run(['login', plane.url, '--token', '-', '--json'], { input: plane.token });
    expect(login).toMatchObject({ code: 2, stdout: '' });
    expect(Refusal.parse(JSON.parse(login.stderr)).message).toContain(user.dir.join('contexts.json'));
    expect(await readFile(user.dir.join('contexts.json'), 'utf8')).toBe('{ half a file');
  });
});

describe.runIf(requires('openssl'))('a certificate of your own authority', () => {
  it('is refused with a word how to trust it, and remembered once it is named', async () => {
    await using dir = await TempDir.make();
    const pki = await makePki(dir.path);
    await using secure = await TestControlPlane.start({ tls: pki });
    await using user = await CliUser.make();
    const args = ['login', secure.url, '--token', '-'];
    const refused = await user.run(args, { input: secure.token });
    expect(refused).toMatchObject({ code: 6, stdout: '' });
    expect(refused.stderr).toMatch(/nobody trusted has signed its certificate.*--ca FILE.*DRAWBRIDGE_CA/);
    expect((await user.run([...args, '--ca', pki.ca.certFile], { input: secure.token })).code).toBe(0);
    expect((await user.run(['whoami'])).code).toBe(0);
    const env = { DRAWBRIDGE_URL: secure.url, DRAWBRIDGE_TOKEN: secure.token };
    expect((await user.run(['whoami'], { env })).code).toBe(6);
    expect((await user.run(['whoami'], { env: { ...env, DRAWBRIDGE_CA: pki.ca.certFile } })).code).toBe(0);
    expect((await user.run(['whoami'], { env: { ...env, DRAWBRIDGE_CA: pki.ca.cert } })).code).toBe(0);
    expect((await user.run(['whoami'], { env: { ...env, DRAWBRIDGE_CA: '/not/there' } })).code).toBe(2);
  });
});

/** What a login says to whoever has a browser. */
async function linkOf(login: TestProcess): Promise<{ id: string; code: string }> {
  return login.waitFor(
    () => {
      const [, id, code] = /\/login#(\S+)\n[\s\S]*?\n {2}(\S+)\n/.exec(login.stderr.text) ?? [];
      return id === undefined || code === undefined ? undefined : { id, code };
    },
    { what: 'the link', timeoutMs: PROMPT_MS },
  );
}

async function signIn(user: CliUser, name: string, args: readonly string[] = []): Promise<void> {
  const login = await user.run(['login', ...args, '--user', name], { input: PASSWORD });
  expect(login).toMatchObject({ code: 0, stderr: '' });
}

/** Somebody who is signed in elsewhere. */
async function evesSession(): Promise<Record<string, string>> {
  const { body } = await plane.api('POST', '/api/v1/sessions', { user: 'eve', password: PASSWORD, label: 'a browser' });
  return { authorization: `Bearer ${Session.parse(body).token}` };
}

async function answer(id: string, answer: 'approve' | 'deny', headers: Record<string, string>): Promise<number> {
  return (await plane.api('POST', `/api/v1/login-requests/${id}/answer`, { answer }, headers)).status;
}

async function storedToken(user: CliUser, index = 0): Promise<string | null> {
  const { contexts } = Stored.parse(JSON.parse(await readFile(user.dir.join('contexts.json'), 'utf8')));
  return contexts[index]?.token ?? null;
}

async function statusWith(token: string | null): Promise<number> {
  return (await plane.api('GET', '/api/v1/whoami', undefined, { authorization: `Bearer ${token}` })).status;
}
