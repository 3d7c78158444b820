import { helloStatement, LINK_SUBPROTOCOL } from '@drawbridge/protocol';
import { eventually, memoryOf, scaled, type SeededRandom, TestAgent, withSeed } from '@drawbridge/testkit';
import { generateKeyPairSync, randomBytes, randomUUID, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { RawSocket } from './garbage-socket.ts';

const GROWTH_BYTES_MAX = 60 * 1024 * 1024;
const MESSAGES = scaled(10_000, 1000);
const MESSAGE_BYTES_MAX = 256 * 1024;
const RECONNECT_MS = 30_000;

/** A control plane that an agent trusts, because it holds the pinned key, and that says whatever a test wants. */
class HostileControlPlane implements AsyncDisposable {
  readonly links: RawSocket[] = [];
  readonly serverKey: string;
  readonly #server = createServer();
  readonly #sockets = new WebSocketServer({ server: this.#server, handleProtocols: () => LINK_SUBPROTOCOL });
  readonly #key = generateKeyPairSync('ed25519');

  private constructor() {
    this.serverKey = this.#key.publicKey.export({ format: 'jwk' }).x ?? '';
    this.#sockets.on('connection', (ws, request) => {
      const link = new RawSocket(ws);
      this.#admit(link, String(request.headers['x-session-id'])).catch(() => link[Symbol.dispose]());
    });
  }

  static async start(): Promise<HostileControlPlane> {
    const plane = new HostileControlPlane();
    plane.#server.listen(0, '127.0.0.1');
    await once(plane.#server, 'listening');
    return plane;
  }

  get url(): string {
    const address = this.#server.address();
    if (typeof address !== 'object' || address === null) throw new Error('not listening');
    return `http://127.0.0.1:${address.port}`;
  }

  /** The agent's link of now, or the next one. */
  link(): Promise<RawSocket> {
    return eventually(() => this.links.findLast((link) => link.isOpen), { what: 'a link', timeoutMs: RECONNECT_MS });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#sockets.clients) client.terminate();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #admit(link: RawSocket, sessionId: string): Promise<void> {
    const [serverId, nonce] = [randomUUID(), randomBytes(32).toString('base64url')];
    const statement = Buffer.from(helloStatement(serverId, nonce, sessionId));
    const signature = sign(null, statement, this.#key.privateKey).toString('base64url');
    await link.say('hello', { server_id: serverId, nonce, time: new Date().toISOString(), version: 1, signature });
    await link.hears('auth', ({ type }) => type === 'auth');
    const config = { heartbeat_interval: 20, command_timeout: 300 };
    const accepted = { status: 'authenticated', session_id: randomUUID(), epoch: 1, config, last_event_seq: 0 };
    await link.say('auth_response', accepted);
    this.links.push(link);
  }
}

const cleanup = new AsyncDisposableStack();
let plane: HostileControlPlane;
let agent: TestAgent;
let pid: number;
let rssBytes: number;

beforeAll(async () => {
  plane = cleanup.use(await HostileControlPlane.start());
  const identity = { id: randomUUID(), auth_token: `dbk_${'x'.repeat(43)}` };
  agent = cleanup.use(
    await TestAgent.start({
      controlPlane: { url: plane.url, caFile: undefined, api: () => Promise.reject(new Error('no API here')) },
      isEnrolled: true,
      config: {
        server: { url: plane.url, server_key: plane.serverKey },
        agent: identity,
        reconnection: { base_delay: 0.02, max_delay: 0.1 },
      },
    }),
  );
  await runTask('true');
  pid = agent.pid;
  rssBytes = memoryOf(pid).rssBytes;
});
afterAll(() => cleanup.disposeAsync());

afterEach(async () => {
  expect(await runTask('exit 5')).toMatchObject({ status: 'success', data: { state: 'failed', exit_code: 5 } });
  expect(memoryOf(pid).rssBytes - rssBytes).toBeLessThan(GROWTH_BYTES_MAX);
});

async function command(operation: string, params: unknown) {
  const link = await plane.link();
  const id = await link.say('command', { operation, params, remaining_ms: 10_000 });
  const answer = await link.hears('an outcome', (message) => message.type === 'command_response' && message.id === id);
  return answer.payload;
}

function runTask(instructions: string) {
  return command('task.start', { task_id: randomUUID(), provider: 'shell', instructions, timeout_seconds: 60 });
}

describe('an agent whose control plane is hostile', () => {
  it.each([
    ['binary', Buffer.from('{}'), 1003],
    ['no JSON', '{', 1007],
    ['256 KiB and one byte', 'x'.repeat(MESSAGE_BYTES_MAX + 1), 1009],
  ])('closes the link for %s, and comes back', async (_what, garbage, code) => {
    const link = await plane.link();
    await link.send(garbage);
    expect(await link.closed).toMatchObject({ code });
  });

  it('answers a message it does not understand, and keeps the link', async () => {
    const link = await plane.link();
    const id = await link.say('surprise', {});
    const error = await link.hears('an error', ({ type, payload }) => type === 'error' && payload['ref'] === id);
    expect(error.payload).toMatchObject({ code: 'invalid_message' });
    expect(link.isOpen).toBe(true);
  });

  it.each([
    ['shell.run', {}, 'unsupported'],
    ['constructor', {}, 'unsupported'],
    ['agent.ping', { echo: 7 }, 'invalid_request'],
    ['agent.ping', { surprise: true }, 'invalid_request'],
    [
      'task.start',
      { task_id: '../../etc', provider: 'shell', instructions: 'id', timeout_seconds: 1 },
      'invalid_request',
    ],
    ['task.start', null, 'invalid_request'],
    ['tunnel.open', { tunnel_id: randomUUID(), kind: 'system', token: 'eyJ.eyJ.x' }, 'auth_failed'],
  ])('refuses %s with %j', async (operation, params, code) => {
    expect(await command(operation, params)).toMatchObject({ status: 'error', error: { code } });
  });

  it('lives through ten thousand random messages', async () => {
    await withSeed(async (random) => {
      for (let index = 0; index < MESSAGES; index += 1) await (await plane.link()).send(randomMessage(random));
    });
    expect(agent.pid).toBe(pid);
  });
});

const TYPES = ['hello', 'auth_response', 'heartbeat', 'command', 'ack', 'cancel', 'config_update', 'error'];
const OPERATIONS = [
  'agent.ping',
  'agent.info',
  'config.get',
  'tunnel.open',
  'tunnel.close',
  'task.start',
  '__proto__',
  '',
];

/** A message that is right in parts. */
function randomMessage(random: SeededRandom): string {
  const value = () => random.pick<unknown>([null, true, -1, 0, 1e308, '', randomUUID(), [], {}, 'x'.repeat(5000)]);
  const payload = random.pick<unknown>([
    value(),
    {
      operation: random.pick(OPERATIONS),
      params: random.pick<unknown>([{}, value()]),
      remaining_ms: random.integer(-1, 50),
    },
    { command_id: value(), event_seq: value(), time: value() },
    { heartbeat_interval: value(), command_timeout: value(), reason: value(), code: value(), message: value() },
  ]);
  const timestamp = random.pick<unknown>([new Date().toISOString(), 7]);
  return JSON.stringify({
    id: random.pick<unknown>([randomUUID(), value()]),
    type: random.pick(TYPES),
    timestamp,
    payload,
  });
}
