import { generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto';
import { endOfSocket, firstMessage, type Link, type LinkEnd, type MessageSocket, systemClock } from '@drawbridge/link';
import {
  decodeMessage,
  type Envelope,
  encodeMessage,
  enrolStatement,
  LIMITS,
  LINK_SUBPROTOCOL,
  ServerMessage,
} from '@drawbridge/protocol';
import { dialWebSocket } from '@drawbridge/runtime';
import type { TestControlPlane } from '@drawbridge/testkit';

/** How the control plane said goodbye, and how the socket was closed then. */
export interface Goodbye {
  readonly reason: string;
  readonly reconnectAfterMs: number | undefined;
  readonly closeCode: number;
}

/** One accepted connection of a wire agent. */
export interface WireLink extends Link {
  readonly epoch: number;
  /** Undefined when it ended without a word. */
  readonly goodbye: Promise<Goodbye | undefined>;
}

/** An agent reduced to its identity and the messages of PROTOCOL.md §2.1, written down once more: hundreds fit into a test. */
export class WireAgent {
  readonly agentId: string;
  readonly #privateKey: KeyObject;
  readonly #journalId = randomUUID();

  private constructor(agentId: string, privateKey: KeyObject) {
    this.agentId = agentId;
    this.#privateKey = privateKey;
  }

  /** Makes a key and enrols it. Each comes from an address of its own, as machines do: `trusted_proxies` must say so. */
  static async enrol(plane: TestControlPlane, token: string, index: number): Promise<WireAgent> {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const { x } = publicKey.export({ format: 'jwk' });
    if (x === undefined) throw new Error('a key without its public half');
    const proof = sign(null, Buffer.from(enrolStatement(token.split('.')[0] ?? '', x)), privateKey);
    const request = { token, public_key: x, proof: proof.toString('base64url'), name: `wire-${index}` };
    const address = { 'x-forwarded-for': `10.0.${index >> 8}.${index & 255}` };
    const { status, body } = await plane.api('POST', '/api/v1/enroll', request, address);
    if (status !== 201 || typeof body !== 'object' || body === null) throw new Error(`not enrolled: ${status}`);
    if (!('agent_id' in body) || typeof body.agent_id !== 'string') throw new Error('enrolled without an id');
    return new WireAgent(body.agent_id, privateKey);
  }

  /** Dials and signs in. Rejects as the real dial does. */
  async dial(url: string, signal: AbortSignal): Promise<WireLink> {
    const socket = await dialWebSocket(
      {
        url: new URL(`/ws/agents/${this.agentId}`, url).href,
        subprotocol: LINK_SUBPROTOCOL,
        headers: { 'x-device-id': this.agentId, 'x-session-id': randomUUID() },
        timeoutMs: LIMITS.dialTimeoutMs,
        maxPayloadBytes: LIMITS.messageBytesMax,
      },
      signal,
    );
    const first = firstMessage(socket);
    const hello = parse(await first.message);
    if (hello.type !== 'hello') throw new Error(`hello expected, not ${hello.type}`);
    const answer = firstMessage(first.rest);
    send(socket, 'auth', {
      agent_id: this.agentId,
      auth_token: this.#token(hello.payload.server_id, hello.payload.nonce),
      version: '0.0.0',
      capabilities: [],
      journal_id: this.#journalId,
      last_event_seq: 0,
    });
    const accepted = parse(await answer.message);
    if (accepted.type !== 'auth_response' || accepted.payload.status !== 'authenticated') {
      throw new Error(`not accepted: ${JSON.stringify(accepted)}`);
    }
    send(socket, 'heartbeat', {});
    return linkOf(answer.rest, accepted.payload.epoch);
  }

  #token(serverId: string, nonce: string): string {
    const claims = { iss: this.agentId, sub: this.agentId, aud: serverId, nonce };
    const signed = [{ alg: 'Ed25519' }, claims].map((part) => base64url(JSON.stringify(part))).join('.');
    return `${signed}.${sign(null, Buffer.from(signed), this.#privateKey).toString('base64url')}`;
  }
}

function linkOf(socket: MessageSocket, epoch: number): WireLink {
  const ended = Promise.withResolvers<LinkEnd>();
  const goodbye = Promise.withResolvers<Goodbye | undefined>();
  let said: Omit<Goodbye, 'closeCode'> | undefined;
  socket.listen({
    message(text) {
      const message = parse(text);
      if (message.type !== 'disconnect') return;
      said = { reason: message.payload.reason, reconnectAfterMs: message.payload.reconnect_after_ms };
    },
    closed(end) {
      goodbye.resolve(said && { ...said, closeCode: end.code });
      const { reason, reconnectAfterMs: retryAfterMs } = said ?? {};
      if (reason !== undefined && retryAfterMs !== undefined) {
        ended.resolve({ kind: 'retry_after', reason, retryAfterMs });
      } else ended.resolve(endOfSocket(end, false));
    },
  });
  return {
    epoch,
    goodbye: goodbye.promise,
    ended: ended.promise,
    async [Symbol.asyncDispose]() {
      socket.terminate();
      await ended.promise;
    },
  };
}

function send(socket: MessageSocket, type: string, payload: unknown): void {
  const message: Envelope<string, unknown> = {
    id: randomUUID(),
    type,
    timestamp: new Date(systemClock.now()).toISOString(),
    payload,
  };
  socket.send(encodeMessage(message));
}

function parse(text: string | Uint8Array): ServerMessage {
  if (typeof text !== 'string') throw new Error('binary where text is expected');
  const decoded = decodeMessage(ServerMessage, text);
  if (!decoded.ok) throw new Error(decoded.reason);
  return decoded.message;
}

function base64url(text: string): string {
  return Buffer.from(text).toString('base64url');
}
