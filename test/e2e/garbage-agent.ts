import { LINK_SUBPROTOCOL, TUNNEL_SUBPROTOCOL } from '@drawbridge/protocol';
import type { TestAgent, TestControlPlane } from '@drawbridge/testkit';
import { randomUUID, sign } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RawSocket } from './garbage-socket.ts';

/** What an agent with an API key knows of itself. */
export interface RawAgent {
  readonly agentId: string;
  readonly key: string;
}

/** Makes an agent that no program runs: the test speaks for it. */
export async function makeRawAgent(controlPlane: TestControlPlane, name: string): Promise<RawAgent> {
  const { body } = await controlPlane.api('POST', '/api/v1/agents', { name });
  if (typeof body === 'object' && body !== null && 'agent_id' in body && 'auth_token' in body) {
    return { agentId: String(body.agent_id), key: String(body.auth_token) };
  }
  throw new Error(`no agent: ${JSON.stringify(body)}`);
}

/** A control link before `auth`. */
export function dialLink(url: string, agentId: string, headers: Record<string, string> = {}): Promise<RawSocket> {
  const path = `${url.replace(/^http/, 'ws')}/ws/agents/${agentId}`;
  return RawSocket.dial(path, LINK_SUBPROTOCOL, { 'x-session-id': randomUUID(), ...headers });
}

/** An agent's leg of a tunnel before CONNECT. */
export function dialLeg(url: string, agentId: string, tunnelId: string): Promise<RawSocket> {
  return RawSocket.dial(
    `${url.replace(/^http/, 'ws')}/ws/agents/${agentId}/tunnels/${tunnelId}`,
    TUNNEL_SUBPROTOCOL,
    {},
  );
}

/** The payload of a good `auth`. */
export function authOf({ agentId, key }: RawAgent): Record<string, unknown> {
  const journalId = randomUUID();
  return {
    agent_id: agentId,
    auth_token: key,
    version: '0.1.0',
    capabilities: [],
    journal_id: journalId,
    last_event_seq: 0,
  };
}

/** A control link that was let in. */
export async function linkOf(url: string, agent: RawAgent): Promise<RawSocket> {
  const link = await dialLink(url, agent.agentId);
  await link.say('auth', authOf(agent));
  await link.hears('auth_response', ({ payload }) => payload['status'] === 'authenticated');
  return link;
}

/** The `auth_token` with which an enrolled agent answers `hello`. */
export async function deviceToken(agent: TestAgent, hello: Readonly<Record<string, unknown>>): Promise<string> {
  const identity: { private_key: string } = JSON.parse(await readFile(join(agent.dataDir, 'identity.json'), 'utf8'));
  const claims = { iss: agent.agentId, sub: agent.agentId, aud: hello['server_id'], nonce: hello['nonce'] };
  const signed = [{ alg: 'EdDSA' }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  return `${signed}.${sign(null, Buffer.from(signed), identity.private_key).toString('base64url')}`;
}
