import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { TempDir, listeningPort } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { caOf, clientFor, findAccess, httpOptionsFor, parseUrl, readSmallFile } from './access.ts';
import { Contexts } from './contexts.ts';

/** A user with two contexts, `lab` in use, and a control plane of `up`. */
async function someUser(dir: TempDir): Promise<NodeJS.ProcessEnv> {
  const contexts = await Contexts.open(dir.path);
  const session = { token: 'of-context', kind: 'session', ca: null, user: 'ann', expires_at: null } as const;
  await contexts.put({ ...session, name: 'prod', url: 'https://prod.example.com', ca: 'PEM' });
  await contexts.put({ ...session, name: 'lab', url: 'https://lab.example.com' });
  await writeFile(dir.join('token'), 'of-local\n');
  const local = { url: 'http://127.0.0.1:7400', token_file: dir.join('token'), pid: process.pid };
  await writeFile(dir.join('local.json'), JSON.stringify(local));
  return { DRAWBRIDGE_DATA: dir.path };
}

it.each([
  ['the current context', {}, {}, { url: 'https://lab.example.com', token: 'of-context', context: 'lab' }],
  [
    'the environment before it',
    {},
    { DRAWBRIDGE_URL: 'https://env.example.com', DRAWBRIDGE_TOKEN: 'of-env' },
    { url: 'https://env.example.com', token: 'of-env', context: null },
  ],
  [
    'the context that is named before both',
    { context: 'prod' },
    { DRAWBRIDGE_URL: 'https://env.example.com', DRAWBRIDGE_TOKEN: 'of-env' },
    { url: 'https://prod.example.com', token: 'of-context', context: 'prod', ca: 'PEM' },
  ],
  [
    'the local control plane by its name',
    { context: 'local' },
    {},
    { url: 'http://127.0.0.1:7400', token: 'of-local', context: 'local' },
  ],
  [
    'a variable that is set to nothing as one that is not set',
    {},
    { DRAWBRIDGE_URL: '', DRAWBRIDGE_TOKEN: '' },
    { url: 'https://lab.example.com' },
  ],
])('takes %s', async (_what, options, env, expected) => {
  await using dir = await TempDir.make();
  expect(await findAccess(options, { ...(await someUser(dir)), ...env })).toMatchObject(expected);
});

it('takes the local control plane when no context is in use', async () => {
  await using dir = await TempDir.make();
  const env = await someUser(dir);
  await (await Contexts.open(dir.path)).remove('lab');
  expect(await findAccess({}, env)).toMatchObject({ context: 'local', token: 'of-local' });
});

it('reads the token from a file, without its last line break', async () => {
  await using dir = await TempDir.make();
  await writeFile(dir.join('token'), ' dbt_x \n');
  const env = { DRAWBRIDGE_URL: 'https://env.example.com', DRAWBRIDGE_TOKEN_FILE: dir.join('token') };
  expect((await findAccess({}, env)).token).toBe('dbt_x');
});

it('names the file of a token that cannot be read', async () => {
  const env = { DRAWBRIDGE_URL: 'https://env.example.com', DRAWBRIDGE_TOKEN_FILE: '/not/there' };
  await expect(findAccess({}, env)).rejects.toThrow('DRAWBRIDGE_TOKEN_FILE cannot be read from /not/there: ENOENT');
});

it('says how to sign in when a context has no token, and when there is no context', async () => {
  await using dir = await TempDir.make();
  const env = await someUser(dir);
  await (await Contexts.open(dir.path)).forgetToken('lab');
  await expect(findAccess({}, env)).rejects.toMatchObject({
    name: 'NotSignedInError',
    message: 'not signed in to https://lab.example.com: drawbridge login https://lab.example.com',
  });
  await expect(findAccess({}, { DRAWBRIDGE_URL: 'https://env.example.com' })).rejects.toThrow('set DRAWBRIDGE_TOKEN');
  await expect(findAccess({ context: 'gone' }, env)).rejects.toThrow('there is no context gone');
});

it('trusts the authority of DRAWBRIDGE_CA where a context names none', async () => {
  await using dir = await TempDir.make();
  const env = { ...(await someUser(dir)), DRAWBRIDGE_CA: '-----BEGIN CERTIFICATE-----' };
  expect((await findAccess({}, env)).ca).toBe('-----BEGIN CERTIFICATE-----');
  expect((await findAccess({ context: 'prod' }, env)).ca).toBe('PEM');
});

it('takes an authority as a file or as its text', async () => {
  await using dir = await TempDir.make();
  await writeFile(dir.join('ca.pem'), '-----BEGIN CERTIFICATE-----\n');
  expect(await caOf(dir.join('ca.pem'))).toBe('-----BEGIN CERTIFICATE-----');
  expect(await caOf('-----BEGIN CERTIFICATE-----')).toBe('-----BEGIN CERTIFICATE-----');
  await expect(caOf(dir.join('gone.pem'))).rejects.toThrow(`the authority cannot be read from ${dir.join('gone.pem')}`);
});

it('looks for a control plane of `up` where it is told, and takes none whose process is gone', async () => {
  await using here = await TempDir.make();
  const env = await someUser(here);
  await using gone = await TempDir.make();
  await someUser(gone);
  const local = { url: 'http://127.0.0.1:7401', token_file: gone.join('token'), pid: await pidOfTheDead() };
  await writeFile(gone.join('local.json'), JSON.stringify(local));
  expect((await findAccess({ context: 'local' }, env)).url).toBe('http://127.0.0.1:7400');
  const lookedFor = await findAccess({ context: 'local' }, { DRAWBRIDGE_DATA: gone.path }).catch((e: unknown) => e);
  expect(lookedFor).not.toMatchObject({ url: 'http://127.0.0.1:7401' });
});

it('names the token of `up` that cannot be read', async () => {
  await using dir = await TempDir.make();
  const env = await someUser(dir);
  await rm(dir.join('token'));
  await expect(findAccess({ context: 'local' }, env)).rejects.toThrow(
    `the token of the local control plane cannot be read from ${dir.join('token')}: ENOENT`,
  );
});

it('takes the token of the environment before the one of a file', async () => {
  const env = {
    DRAWBRIDGE_URL: 'https://env.example.com',
    DRAWBRIDGE_TOKEN: 'first',
    DRAWBRIDGE_TOKEN_FILE: '/not/there',
  };
  expect(await findAccess({}, env)).toEqual({
    url: 'https://env.example.com',
    token: 'first',
    ca: undefined,
    context: null,
  });
});

it('reads a file without the white space around it, and says why it cannot', async () => {
  await using dir = await TempDir.make();
  await writeFile(dir.join('small'), '\n text \n');
  expect(await readSmallFile('it', dir.join('small'))).toBe('text');
  await expect(readSmallFile('it', dir.path)).rejects.toMatchObject({
    name: 'UsageError',
    message: `it cannot be read from ${dir.path}: EISDIR`,
    cause: { code: 'EISDIR' },
  });
});

it('talks to just that control plane, as that caller', async () => {
  const heard: (string | undefined)[][] = [];
  const server = createServer((request, response) => {
    heard.push([request.url, request.headers.authorization]);
    response.end(JSON.stringify({ items: [], next_cursor: null }));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  try {
    const url = `http://127.0.0.1:${listeningPort(server)}`;
    await clientFor({ url, token: 'dbt_x', ca: undefined }).listTunnels();
    expect(heard).toEqual([['/api/v1/tunnels?limit=200', 'Bearer dbt_x']]);
    expect(httpOptionsFor({ url, ca: undefined })).toMatchObject({ url, token: undefined });
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

it.each([
  ['https://control.example.com', 'https://control.example.com'],
  ['https://control.example.com/', 'https://control.example.com'],
  ['control.example.com', 'https://control.example.com'],
  ['control.example.com:8443', 'https://control.example.com:8443'],
  ['http://127.0.0.1:7400', 'http://127.0.0.1:7400'],
  ['https://[::1]:7400/', 'https://[::1]:7400'],
])('takes %s for an address', (text, url) => {
  expect(parseUrl(text)).toBe(url);
});

it.each(['', 'ftp://x', 'https://', 'https://ann:pw@x', 'https://x/path', 'https://x?token=1', 'https://x#code'])(
  'takes %j for none, and repeats no password',
  (text) => {
    expect(() => parseUrl(text)).toThrow(/address/);
    expect(() => parseUrl(text)).not.toThrow(/pw|token=|code/);
  },
);

/** The number of a process that was there, and is not. */
async function pidOfTheDead(): Promise<number> {
  const child = spawn(process.execPath, ['--version'], { stdio: 'ignore' });
  await once(child, 'exit');
  return child.pid ?? 0;
}
