import { randomUUID, sign } from 'node:crypto';
import { LIMITS, LINK_SUBPROTOCOL, ServerMessage, decodeMessage } from '@drawbridge/protocol';
import type { AuthPayload } from '@drawbridge/protocol';
import { Client, type ClientOptions } from './client.ts';
import type { AgentIdentity } from './enrol.ts';
import { heartbeat } from './heartbeat.ts';

/**
 * An agent as far as the wire goes: it answers the challenge with its device key and beats. It does not check the control
 * plane's signature: a real agent does that on a machine of its own.
 */
export class SimulatedAgent extends Client {
  protected override beatIntervalMs: number = LIMITS.heartbeatIntervalMs;
  readonly #identity: AgentIdentity;
  readonly #journalId = randomUUID();
  readonly #instance = randomUUID();

  constructor(identity: AgentIdentity, options: ClientOptions) {
    super(options);
    this.#identity = identity;
  }

  protected override request() {
    const { agentId } = this.#identity;
    return {
      path: `/ws/agents/${agentId}`,
      protocol: LINK_SUBPROTOCOL,
      headers: { 'x-device-id': agentId, 'x-session-id': randomUUID() },
    };
  }

  protected override receive(text: string): boolean {
    const decoded = decodeMessage(ServerMessage, text);
    if (!decoded.ok) throw new Error(decoded.reason);
    const { message } = decoded;
    if (message.type === 'hello') this.send(this.#auth(message.payload.nonce));
    if (message.type !== 'auth_response') return false;
    const { payload } = message;
    if (payload.status !== 'authenticated') throw new Error(`${payload.code}: ${payload.message}`);
    this.beatIntervalMs = payload.config.heartbeat_interval * 1000;
    return true;
  }

  protected override beat(): string {
    return heartbeat();
  }

  #auth(nonce: string): string {
    const { agentId } = this.#identity;
    const payload: AuthPayload = {
      agent_id: agentId,
      auth_token: this.#token(nonce),
      version: '0.1.0',
      capabilities: ['tasks'],
      journal_id: this.#journalId,
      last_event_seq: 0,
      instance: this.#instance,
      os: 'linux',
      arch: 'x64',
    };
    return JSON.stringify({ id: randomUUID(), type: 'auth', timestamp: new Date().toISOString(), payload });
  }

  /** The JWT of PROTOCOL.md §2.1. */
  #token(nonce: string): string {
    const { agentId, serverId, privateKey } = this.#identity;
    const claims = { iss: agentId, sub: agentId, aud: serverId, nonce };
    const signed = [{ alg: 'Ed25519', typ: 'JWT' }, claims].map((part) => base64url(JSON.stringify(part))).join('.');
    return `${signed}.${sign(null, Buffer.from(signed), privateKey).toString('base64url')}`;
  }
}

function base64url(text: string): string {
  return Buffer.from(text).toString('base64url');
}
