import { randomBytes, randomUUID } from 'node:crypto';
import { readdir, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { endOfTask, eventually, outputOf, runCli, TempDir, TestAgent, TestControlPlane } from '@drawbridge/testkit';
import type { LogLine } from '@drawbridge/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { TraceCollector } from '../../apps/control-plane/src/observability/open-telemetry-fixture.ts';
import { ask } from './edge-requests.ts';
import type { EdgeRequest } from './edge-requests.ts';
import { dialLink } from './garbage-agent.ts';
import { enrolRequest, joinToken } from './raw-agent.ts';

/** A word that is nowhere else in the world; letters and digits only, so that no encoding changes it. */
const canary = () => `canary${randomBytes(16).toString('hex')}`;

/** What somebody might let slip, or send where it does not belong. */
const WORDS = {
  'the right password': canary(),
  'a wrong password': canary(),
  'a password that is too long': canary(),
  'a password in JSON that is cut': canary(),
  'a password beside a field nobody knows': canary(),
  'a password sent as a name': canary(),
  'the current password, wrong': canary(),
  'the password of an idempotent request': canary(),
  'a sign-in code that was made up': canary(),
  'a poll secret that was made up': canary(),
  'a join token that was made up': canary(),
  'a proof of enrolment': canary(),
  'an Idempotency-Key': canary(),
  'an Idempotency-Key of a task': canary(),
  instructions: canary(),
  'instructions that nobody may run': canary(),
  'instructions that wait': canary(),
  'instructions for many': canary(),
  'instructions of a provider that there is not': canary(),
  output: canary(),
  'a result file': canary(),
  'params that are wrong': canary(),
  'params of an operation that there is not': canary(),
  'a bearer on a route that there is not': canary(),
  'a bearer nobody knows': canary(),
  'a basic password': canary(),
  'a cookie nobody knows': canary(),
  'a query nobody asked for': canary(),
  'a token in a query': canary(),
  'a path': canary(),
  'a header that is cut': canary(),
  'a bearer on the path of a WebSocket': canary(),
  'an agent key in auth': canary(),
  'a user that is no user': canary(),
} as const;
type What = keyof typeof WORDS;

/** Where some of them must be, and nothing else may: the path somebody asked for is the path that was not there. */
const MAY_BE_IN_ANSWERS: readonly What[] = [
  'a path',
  'a user that is no user',
  'params of an operation that there is not',
  'output',
  'a result file',
];

const Url = z.object({ url: z.string() });
const Made = z.object({ id: z.string() });
const Secret = z.object({ token: z.string() });

const parts = new AsyncDisposableStack();
let plane: TestControlPlane;
let agent: TestAgent;
let collector: TraceCollector;
/** Secrets that the control plane made itself. */
const issued = new Map<string, string>();
/** Every answer of the story, by what was asked. */
const answers: string[] = [];
/** What the control plane logged in both of its lives. */
const logs: LogLine[] = [];
let events = '';
let metrics = '';
let audit = '';
let dataDir: string;

/** Asks, and keeps the answer unless it is to hold a secret that is shown once. */
async function say(wanted: EdgeRequest, options: { readonly isSecret?: boolean } = {}): Promise<string> {
  const { status, body, headers } = await ask(plane, wanted);
  if (options.isSecret !== true) answers.push(`${wanted.method ?? 'GET'} ${status} ${JSON.stringify(headers)} ${body}`);
  return body;
}

/** The same, as the admin. */
function order(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<string> {
  return say({ method, path: `/api/v1${path}`, body, headers: { authorization: `Bearer ${plane.token}`, ...headers } });
}

/** The bytes as they are, however little they look like HTTP. */
async function sayRaw(text: string): Promise<void> {
  const { port, hostname } = new URL(plane.url);
  const socket = connect(Number(port), hostname);
  const chunks: Buffer[] = [];
  socket.on('error', () => undefined);
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.end(text);
  await once(socket, 'close');
  answers.push(Buffer.concat(chunks).toString());
}

beforeAll(async () => {
  collector = parts.use(await TraceCollector.start());
  const dir = parts.use(await TempDir.make('drawbridge-canary-'));
  dataDir = dir.path;
  const level = { DRAWBRIDGE_LOGGING_LEVEL: 'debug' };
  const tracing = { DRAWBRIDGE_TRACING_URL: collector.url, DRAWBRIDGE_TRACING_SAMPLE: '1' };
  plane = parts.use(await TestControlPlane.start({ dataDir, env: { ...level, ...tracing } }));
  // What it was started with is not what it keeps.
  await rm(join(dataDir, 'bootstrap-token'));
  issued.set('the bootstrap token', plane.token);
  agent = parts.use(await TestAgent.start({ controlPlane: plane, env: level }));
  const feed = follow();
  await people();
  await machines();
  await strangers();
  await tasks();
  await eventually(() => collector.spans.length > 20, { what: 'spans', timeoutMs: 30_000 });
  metrics = await say({ path: '/metrics' });
  audit = (await order('GET', '/audit/export')) + (await order('GET', '/audit?limit=200'));
  feed.close();
  await broken();
}, 120_000);
afterAll(() => parts.disposeAsync());

function follow(): { close: () => void } {
  const headers = { authorization: `Bearer ${plane.token}` };
  const request = httpRequest(new URL('/api/v1/events', plane.url), { headers, agent: false });
  request.on('error', () => undefined);
  request.once('response', (response) => response.on('data', (chunk: Buffer) => (events += chunk.toString())));
  request.end();
  return { close: () => request.destroy() };
}

/** Passwords, sessions, links and tokens: right ones and wrong ones. */
async function people(): Promise<void> {
  const password = WORDS['the right password'];
  await order('POST', '/users', { name: 'ann', password, roles: [{ role: 'viewer' }] });
  const keyed = { name: 'bob', password: WORDS['the password of an idempotent request'] };
  for (const _time of [1, 2]) await order('POST', '/users', keyed, { 'idempotency-key': WORDS['an Idempotency-Key'] });
  const session = (body: unknown, isSecret = false) =>
    say({ method: 'POST', path: '/api/v1/sessions', body }, { isSecret });
  const { token } = Secret.parse(JSON.parse(await session({ user: 'ann', password }, true)));
  issued.set('a session', token);
  await session({ user: 'ann', password: WORDS['a wrong password'] });
  await session({ user: 'ann', password: WORDS['a password that is too long'].repeat(100) });
  await session({ user: 'ann', password: [], extra: WORDS['a password beside a field nobody knows'] });
  await session({ user: WORDS['a password sent as a name'], password: 'x' });
  await sayRaw(post('/api/v1/sessions', `{"user":"ann","password":"${WORDS['a password in JSON that is cut']}`));
  const ann = { authorization: `Bearer ${token}` };
  const change = { current: WORDS['the current password, wrong'], password };
  await say({ method: 'PUT', path: '/api/v1/whoami/password', body: change, headers: ann });
  const link = Url.parse(
    JSON.parse(
      await say({ method: 'POST', path: '/api/v1/sign-in-links', body: {}, headers: ann }, { isSecret: true }),
    ),
  );
  const code = new URL(link.url).hash.slice(1);
  issued.set('a sign-in code', code);
  const signedIn = await ask(plane, { method: 'POST', path: '/api/v1/sign-in', body: { code } });
  issued.set('a cookie', /=([^;]+)/.exec(signedIn.headers['set-cookie']?.[0] ?? '')?.[1] ?? '');
  await say({ method: 'POST', path: '/api/v1/sign-in', body: { code } });
  await say({ method: 'POST', path: '/api/v1/sign-in', body: { code: WORDS['a sign-in code that was made up'] } });
  const login = JSON.parse(
    await say({ method: 'POST', path: '/api/v1/login-requests', body: { label: 'x' } }, { isSecret: true }),
  );
  const { id, poll_secret: pollSecret } = z.object({ id: z.string(), poll_secret: z.string() }).parse(login);
  issued.set('a poll secret', pollSecret);
  const poll = (secret: string) =>
    say({ method: 'POST', path: `/api/v1/login-requests/${id}/token`, body: { poll_secret: secret } });
  await poll(WORDS['a poll secret that was made up']);
  await poll(pollSecret);
  const wanted = { name: 'mine', verbs: 'all', expires_in_seconds: 3600 };
  const made = await say({ method: 'POST', path: '/api/v1/tokens', body: wanted, headers: ann }, { isSecret: true });
  issued.set('an API token', Secret.parse(JSON.parse(made)).token);
  await say({ path: '/api/v1/tasks', headers: { authorization: `Bearer ${issued.get('an API token')}` } });
  await say({ path: '/api/v1/users', headers: { authorization: `Bearer ${issued.get('an API token')}` } });
}

/** Join tokens and agent keys. */
async function machines(): Promise<void> {
  const { token } = await joinToken(plane);
  issued.set('a join token', token.split('.')[1] ?? '');
  const { body } = enrolRequest(token, 'machine');
  await say({ method: 'POST', path: '/api/v1/enroll', body: { ...body, proof: WORDS['a proof of enrolment'] } });
  await say({ method: 'POST', path: '/api/v1/enroll', body });
  await say({ method: 'POST', path: '/api/v1/enroll', body });
  const madeUp = { ...body, token: `dbj_${randomUUID()}.${WORDS['a join token that was made up']}.abc` };
  await say({ method: 'POST', path: '/api/v1/enroll', body: madeUp });
  const made = await ask(plane, {
    method: 'POST',
    path: '/api/v1/agents',
    body: { name: 'keyed' },
    headers: { authorization: `Bearer ${plane.token}` },
  });
  const { agent_id: agentId, auth_token: key } = z
    .object({ agent_id: z.string(), auth_token: z.string() })
    .parse(JSON.parse(made.body));
  issued.set('an agent key', key);
  const upgrade = `Host: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n`;
  const bearer = WORDS['a bearer on the path of a WebSocket'];
  await sayRaw(`GET /ws/agents/${agentId} HTTP/1.1\r\n${upgrade}Authorization: Bearer ${bearer}\r\n\r\n`);
  using link = await dialLink(plane.url, agentId);
  await link.hears('hello', ({ type }) => type === 'hello');
  const facts = { version: '0.1.0', capabilities: [], journal_id: randomUUID(), last_event_seq: 0 };
  await link.say('auth', { agent_id: agentId, auth_token: `dbk_${WORDS['an agent key in auth']}`, ...facts });
  await link.closed;
  answers.push(JSON.stringify(link.heard));
  await sayRaw(`GET /ws/agents/${agentId}?token=${WORDS['a token in a query']} HTTP/1.1\r\n${upgrade}\r\n`);
}

/** Credentials where they do not belong. */
async function strangers(): Promise<void> {
  const bearer = (word: string) => ({ authorization: `Bearer ${word}` });
  await say({ path: '/api/v1/nowhere', headers: bearer(WORDS['a bearer on a route that there is not']) });
  await say({ path: '/api/v1/agents', headers: bearer(`dbt_${WORDS['a bearer nobody knows']}`) });
  const basic = Buffer.from(`ann:${WORDS['a basic password']}`).toString('base64');
  await say({ path: '/api/v1/agents', headers: { authorization: `Basic ${basic}` } });
  await say({ path: '/api/v1/agents', headers: { cookie: `drawbridge=dbs_${WORDS['a cookie nobody knows']}` } });
  await order('GET', `/agents?surprise=${WORDS['a query nobody asked for']}`);
  await order('GET', `/agents?token=${WORDS['a token in a query']}`);
  await say({ path: `/nowhere?password=${WORDS['a token in a query']}` });
  await say({ path: `/nowhere?x=${WORDS['a query nobody asked for']}` });
  await order('GET', `/agents/${WORDS['a path'].slice(0, 38)}`);
  await order('GET', `/users/${WORDS['a user that is no user']}`);
  await sayRaw(`GET /api/v1/agents HTTP/1.1\r\nAuthorization: Bearer ${WORDS['a header that is cut']}\u0001\r\n\r\n`);
}

/** Instructions, output and results, of tasks that run and of such that do not. */
async function tasks(): Promise<void> {
  // Quoted in two halves, the words are what the shell makes of them, and the instructions do not hold them.
  const put = (word: string) => `${word.slice(0, 9)}''${word.slice(9)}`;
  const instructions = [
    `: ${WORDS.instructions}`,
    `echo ${put(WORDS.output)}`,
    `echo ${put(WORDS['a result file'])} >> "$DRAWBRIDGE_RESULT_FILE"`,
  ].join('\n');
  const start = (more: Record<string, unknown>, headers: Record<string, string> = {}) =>
    order('POST', '/tasks', { agent_id: agent.agentId, provider: 'shell', ...more }, headers);
  const key = { 'idempotency-key': WORDS['an Idempotency-Key of a task'] };
  const { id } = Made.parse(JSON.parse(await start({ instructions }, key)));
  await start({ instructions }, key);
  await endOfTask(plane, id);
  expect(await outputOf(plane, id)).toContain(WORDS.output);
  await order('GET', `/tasks/${id}/result`);
  await start({ instructions: WORDS['instructions of a provider that there is not'], provider: 'nope' });
  const viewer = { authorization: `Bearer ${issued.get('a session')}` };
  await start({ instructions: WORDS['instructions that nobody may run'] }, viewer);
  const waiting = { instructions: WORDS['instructions that wait'], queue_if_offline: true };
  await order('POST', '/tasks', { agent_id: 'keyed', provider: 'shell', ...waiting });
  const many = {
    agent_ids: ['keyed'],
    provider: 'shell',
    instructions: WORDS['instructions for many'],
    queue_if_offline: true,
  };
  await order('POST', '/bulk-runs', many);
  await order('POST', `/agents/${agent.agentId}/commands`, {
    operation: 'agent.ping',
    params: { surprise: WORDS['params that are wrong'] },
  });
  await order('POST', `/agents/${agent.agentId}/commands`, {
    operation: WORDS['params of an operation that there is not'],
  });
  await runCli(['agents', 'ls', '--json'], {
    env: { DRAWBRIDGE_URL: plane.url, DRAWBRIDGE_TOKEN: WORDS['a bearer nobody knows'] },
  });
}

/** The store refuses to write: the requests that carry most fail in the middle of a statement. */
async function broken(): Promise<void> {
  await keepFiles('running');
  await plane.stop();
  logs.push(...plane.logs);
  await keepFiles('stopped');
  const db = new DatabaseSync(join(dataDir, 'drawbridge.db'));
  for (const table of ['users', 'sign_in_sessions', 'tasks', 'commands', 'api_tokens']) {
    db.exec(`create trigger break_${table} before insert on ${table} begin select raise(abort, 'broken'); end`);
  }
  db.close();
  await plane.launch();
  await plane.waitUntilUp();
  await order('POST', '/users', { name: 'kim', password: WORDS['the right password'] });
  await say({ method: 'POST', path: '/api/v1/sessions', body: { user: 'ann', password: WORDS['the right password'] } });
  await order('POST', '/tokens', { name: 'x', verbs: ['agent.read'], expires_in_seconds: 60 });
  const instructions = WORDS.instructions;
  const wanted = { agent_id: agent.agentId, provider: 'shell', instructions, queue_if_offline: true };
  await order('POST', '/tasks', wanted, { 'idempotency-key': `${WORDS['an Idempotency-Key of a task']}-2` });
  await plane.stop();
  logs.push(...plane.logs);
  await keepFiles('broken');
}

/** Everything in the control plane's directory, by the moment and the name. */
const files = new Map<string, Buffer>();

async function keepFiles(when: string): Promise<void> {
  for (const name of await readdir(dataDir)) files.set(`${when}: ${name}`, await readFile(join(dataDir, name)));
}

function post(path: string, body: string): string {
  const head = `Host: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${body.length}`;
  return `POST ${path} HTTP/1.1\r\n${head}\r\n\r\n${body}`;
}

/** What of the words, and of the secrets, is in the text. */
function found(text: string | Buffer, except: readonly What[] = []): string[] {
  const words = Object.entries(WORDS).filter(([what]) => !except.some((one) => one === what));
  return [...words, ...issued].flatMap(([what, word]) => (text.includes(word) ? [what] : []));
}

describe('no secret and no content', () => {
  it('was planted in vain: the story went as it was to go', () => {
    expect(answers.length).toBeGreaterThan(40);
    expect([...issued.values()].every((secret) => secret.length >= 32)).toBe(true);
    expect(audit).toContain('"verb":"sign-in"');
    expect(events).toContain('task.changed');
    expect(answers.filter((answer) => /^\w+ 500 /.test(answer))).toHaveLength(4);
    expect(logs.some(({ level }) => level === 'debug')).toBe(true);
    expect(agent.logs.some(({ level }) => level === 'debug')).toBe(true);
  });

  it.each<[where: string, text: () => string]>([
    ['the log of the control plane', () => JSON.stringify(logs)],
    ['the log of the agent', () => JSON.stringify(agent.logs)],
    ['the numbers', () => metrics],
    ['the traces', () => JSON.stringify(collector.spans)],
    ['the audit log', () => audit],
    ['the stream of events', () => events],
  ])('is in %s', (_where, text) => {
    expect(text().length).toBeGreaterThan(100);
    expect(found(text())).toEqual([]);
  });

  it('is in an answer, but for what the asker said in the very path', () => {
    expect(answers.flatMap((answer) => found(answer, MAY_BE_IN_ANSWERS).map((what) => `${what}: ${answer}`))).toEqual(
      [],
    );
  });

  it('is in the files of the store as it is', () => {
    expect([...files.keys()]).toEqual(expect.arrayContaining(['running: drawbridge.db-wal', 'broken: drawbridge.db']));
    for (const [name, bytes] of files) expect([name, found(bytes)]).toEqual([name, []]);
  });

  it('is a token by its looks in the files of the store: none of ours, and no JWT of a tunnel', () => {
    expect(logs.some(({ msg }) => msg === 'system tunnel open')).toBe(true);
    for (const [name, bytes] of files) {
      const text = bytes.toString('latin1');
      expect([name, text.match(/db[jkst]_[\w-]{20}|eyJ[\w-]+\.eyJ[\w-]+\./)]).toEqual([name, null]);
    }
  });
});
