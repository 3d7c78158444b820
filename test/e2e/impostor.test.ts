import { generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { encodeMessage, helloStatement, identityStatement, PROTOCOL_VERSION } from '@drawbridge/protocol';
import {
  listeningPort,
  makePki,
  type Pki,
  requires,
  runCli,
  TempDir,
  TestAgent,
  type TestCertificate,
  TestControlPlane,
} from '@drawbridge/testkit';
import { describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { joinToken } from './raw-agent.ts';

describe.runIf(requires('openssl'))('a man in the middle with a valid certificate', () => {
  it('never sees the join token: its key is not the one the token names', async () => {
    await using dir = await TempDir.make();
    const pki = await makePki(dir.path);
    await using plane = await TestControlPlane.start({ tls: pki });
    await using impostor = await Impostor.start(pki.impostor);
    const { token } = await joinToken(plane);
    const enrol = (url: string) =>
      runCli(['agent', 'enroll', url, '--token', token, '--data', dir.join('agent'), '--ca', pki.ca.certFile]);

    const { code, stdout, stderr } = await enrol(impostor.url);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('does not hold the key that the join token names: the token was not sent');
    expect(impostor.requests).toHaveLength(1);
    expect(impostor.requests[0]).toMatch(/^GET \/api\/v1\/identity\?nonce=/);
    expect(impostor.requests[0]).not.toContain(token.split('.')[1]);

    // Nor when it says that it has the true key, and signs with its own or repeats an older signature.
    const genuine = await plane.api('GET', `/api/v1/identity?nonce=${'A'.repeat(43)}`);
    impostor.identity = genuine.body;
    expect((await enrol(impostor.url)).stderr).toContain('the token was not sent');
    expect(impostor.requests).toHaveLength(2);
    expect(await enrol(plane.url)).toMatchObject({ code: 0 });
  });

  it('hears nothing of an agent: its hello is not signed by the pinned key', async () => {
    await using dir = await TempDir.make();
    const pki = await makePki(dir.path);
    await using plane = await TestControlPlane.start({ tls: pki });
    await using impostor = await Impostor.start(pki.impostor);
    await using agent = await dialled(plane, pki, { url: impostor.url });
    const loud = await agent.waitForLog(({ code }) => code === 'server_key_mismatch');
    expect(loud).toMatchObject({
      level: 'error',
      msg: 'THE CONTROL PLANE IS NOT THE ONE THIS AGENT ENROLLED WITH: nothing was told to it',
    });
    // It cools down.
    await agent.waitForLog(({ waitMs }) => waitMs === 30_000);
    expect(impostor.links).toBe(1);
    expect(impostor.heard).toEqual([]);
  });

  it('gets no request at all from an agent that pins the key of the certificate', async () => {
    await using dir = await TempDir.make();
    const pki = await makePki(dir.path);
    await using plane = await TestControlPlane.start({ tls: pki });
    await using impostor = await Impostor.start(pki.impostor);
    await using agent = await dialled(plane, pki, { url: impostor.url, pin: pki.server.pin });
    await agent.waitForLog(({ msg }) => String(msg).includes(`${pki.impostor.pin}, pinned is ${pki.server.pin}`));
    expect([impostor.connections > 0, impostor.links, impostor.requests]).toEqual([true, 0, []]);
    await using honest = await dialled(plane, pki, { url: plane.url, pin: pki.server.pin });
    await honest.waitUntilUp();
  });
});

/** An agent that was enrolled with the true control plane and then sent somewhere. */
async function dialled(plane: TestControlPlane, pki: Pki, server: { url: string; pin?: string }): Promise<TestAgent> {
  const config = { server: { ca: pki.ca.certFile, ...server } };
  return TestAgent.start({ controlPlane: plane, config, waitUntilConnected: false });
}

/** A control plane with a key of its own behind a certificate that everybody trusts. It writes down all that it is told. */
class Impostor implements AsyncDisposable {
  /** Method, path and body. */
  readonly requests: string[] = [];
  /** What agents said on a link. */
  readonly heard: string[] = [];
  /** What it says of itself instead of the truth. */
  identity: unknown;
  connections = 0;
  links = 0;
  readonly #serverId = randomUUID();
  readonly #key = generateKeyPairSync('ed25519');
  readonly #server;
  readonly #links = new WebSocketServer({ noServer: true });

  private constructor({ cert, key }: TestCertificate) {
    this.#server = createServer({ cert, key }, (request, response) => void this.#answer(request, response));
    this.#server.on('connection', () => (this.connections += 1));
    this.#server.on('upgrade', (request, socket, head) => {
      this.#links.handleUpgrade(request, socket, head, (ws) => {
        this.links += 1;
        ws.on('message', (data: Buffer) => this.heard.push(data.toString()));
        ws.send(this.#hello(String(request.headers['x-session-id'])));
      });
    });
  }

  static async start(certificate: TestCertificate): Promise<Impostor> {
    const impostor = new Impostor(certificate);
    impostor.#server.listen(0, '127.0.0.1');
    await once(impostor.#server, 'listening');
    return impostor;
  }

  get url(): string {
    return `https://127.0.0.1:${listeningPort(this.#server)}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const ws of this.#links.clients) ws.terminate();
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    this.requests.push(`${request.method} ${request.url} ${body}`);
    const nonce = new URL(request.url ?? '', this.url).searchParams.get('nonce') ?? '';
    const own = {
      server_id: this.#serverId,
      public_key: this.#key.publicKey.export({ format: 'jwk' }).x,
      version: PROTOCOL_VERSION,
      signature: signed(this.#key.privateKey, identityStatement(this.#serverId, nonce)),
    };
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(this.identity ?? own));
  }

  #hello(sessionId: string): string {
    const nonce = randomUUID();
    const time = new Date().toISOString();
    const signature = signed(this.#key.privateKey, helloStatement(this.#serverId, nonce, sessionId));
    const payload = { server_id: this.#serverId, nonce, time, version: PROTOCOL_VERSION, signature };
    return encodeMessage({ id: randomUUID(), type: 'hello', timestamp: time, payload });
  }
}

function signed(key: KeyObject, statement: string): string {
  return sign(null, Buffer.from(statement), key).toString('base64url');
}
