import { createPrivateKey, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeMessage, encodeMessage, enrolStatement, LINK_SUBPROTOCOL, ServerMessage } from '@drawbridge/protocol';
import { eventually, type TestControlPlane } from '@drawbridge/testkit';
import { WebSocket } from 'ws';
import { z } from 'zod';

/** An agent as its control plane knows it. */
export interface RawIdentity {
  readonly agentId: string;
  readonly privateKey: KeyObject;
}

/** What an agent says of itself in `auth`; another process of it has another `instance`. */
export interface RawFacts {
  readonly instance: string;
  readonly journal_id: string;
  readonly last_event_seq: number;
}

const JoinToken = z.object({ id: z.string(), token: z.string(), expires_at: z.iso.datetime() });
const Enrolled = z.object({ agent_id: z.string() });
const IdentityFile = z.object({ agent_id: z.string(), private_key: z.string() });

/** A join token: for one use within the hour, unless `wanted` says otherwise. */
export async function joinToken(plane: TestControlPlane, wanted: { ttl_seconds?: number; uses?: number } = {}) {
  return JoinToken.parse((await plane.api('POST', '/api/v1/join-tokens', wanted)).body);
}

/** What a machine with a new key sends to enrol, and its key. */
export function enrolRequest(token: string, name: string) {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const { x = '' } = publicKey.export({ format: 'jwk' });
  const proof = sign(null, Buffer.from(enrolStatement(token.split('.')[0] ?? '', x)), privateKey).toString('base64url');
  return { privateKey, body: { token, public_key: x, proof, name } };
}

/** Enrols an agent over the API alone. */
export async function enrolRaw(plane: TestControlPlane, name: string): Promise<RawIdentity> {
  const { token } = await joinToken(plane);
  const { privateKey, body } = enrolRequest(token, name);
  const answer = await plane.api('POST', '/api/v1/enroll', body);
  return { agentId: Enrolled.parse(answer.body).agent_id, privateKey };
}

/** The identity of an agent that was enrolled on `dataDir`. */
export async function readIdentity(dataDir: string): Promise<RawIdentity> {
  const file = IdentityFile.parse(JSON.parse(await readFile(join(dataDir, 'identity.json'), 'utf8')));
  return { agentId: file.agent_id, privateKey: createPrivateKey(file.private_key) };
}

/** The facts of a machine that starts for the first time. */
export function newFacts(): RawFacts {
  return { instance: randomUUID(), journal_id: randomUUID(), last_event_seq: 0 };
}

/** One connection that says what a test tells it to, right or wrong, and answers nothing by itself. */
export class RawAgent implements AsyncDisposable {
  /** Everything it was told, in order. */
  readonly heard: ServerMessage[] = [];
  readonly #ws: WebSocket;
  #refusal: string | undefined;
  #end: { readonly code: number; readonly reason: string } | undefined;

  private constructor(url: string, agentId: string) {
    const headers = { 'x-device-id': agentId, 'x-session-id': randomUUID() };
    this.#ws = new WebSocket(new URL(`/ws/agents/${agentId}`, url), [LINK_SUBPROTOCOL], { headers });
    this.#ws.on('message', (data: Buffer) => {
      const decoded = decodeMessage(ServerMessage, data.toString());
      if (decoded.ok) this.heard.push(decoded.message);
    });
    this.#ws.once('close', (code, reason) => (this.#end = { code, reason: reason.toString() }));
    this.#ws.on('error', ({ message }) => (this.#refusal = message));
  }

  /** Dials without a word more. */
  static dial(url: string, agentId: string): RawAgent {
    return new RawAgent(url, agentId);
  }

  /** Dials and signs in; resolves when the control plane has accepted it. */
  static async connect(url: string, identity: RawIdentity, facts: RawFacts): Promise<RawAgent> {
    const agent = RawAgent.dial(url, identity.agentId);
    await agent.signIn(identity, facts);
    const { payload } = await agent.hears('auth_response');
    if (payload.status !== 'authenticated') throw new Error(`rejected: ${payload.code}`);
    return agent;
  }

  /** Answers `hello` with an `auth` signed by the agent's key. */
  async signIn({ agentId, privateKey }: RawIdentity, facts: RawFacts): Promise<void> {
    const { payload: hello } = await this.hears('hello');
    const claims = { iss: agentId, sub: agentId, aud: hello.server_id, nonce: hello.nonce };
    const statement = [{ alg: 'EdDSA' }, claims].map(toBase64Url).join('.');
    const signature = sign(null, Buffer.from(statement), privateKey).toString('base64url');
    const who = { agent_id: agentId, auth_token: `${statement}.${signature}`, version: '0.0.0', capabilities: [] };
    this.send('auth', { ...who, ...facts });
  }

  send(type: string, payload: unknown, id: string = randomUUID()): void {
    this.#ws.send(encodeMessage({ id, type, timestamp: new Date().toISOString(), payload }));
  }

  /** The newest message of that type, now or soon. */
  hears<Type extends ServerMessage['type']>(type: Type): Promise<Extract<ServerMessage, { type: Type }>> {
    const isWanted = (message: ServerMessage): message is Extract<ServerMessage, { type: Type }> =>
      message.type === type;
    return eventually(() => this.heard.findLast(isWanted), { what: `a message ${type}` });
  }

  /** Stops reading: it does not even notice that it was closed, and can still send. */
  turnDeaf(): void {
    this.#ws.pause();
  }

  hearAgain(): void {
    this.#ws.resume();
  }

  /** The HTTP status that its dial was refused with. */
  async refused(): Promise<number> {
    const message = await eventually(() => this.#refusal, { what: 'a refusal' });
    return Number(/response: (\d+)$/.exec(message)?.[1]);
  }

  /** How its connection ended, now or soon; 1006 when it was refused or dropped. */
  ended(timeoutMs = 20_000): Promise<{ readonly code: number; readonly reason: string }> {
    return eventually(() => this.#end, { what: 'the connection to end', timeoutMs });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#end !== undefined) return;
    const closed = once(this.#ws, 'close');
    this.#ws.resume();
    this.#ws.terminate();
    await closed;
  }
}

function toBase64Url(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
