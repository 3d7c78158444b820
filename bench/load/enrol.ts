import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { once } from 'node:events';
import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { json } from 'node:stream/consumers';
import { enrolStatement } from '@drawbridge/protocol';

/** Who a simulated agent is. */
export interface AgentIdentity {
  readonly agentId: string;
  readonly serverId: string;
  readonly privateKey: KeyObject;
}

/** Whom to enrol, where. */
export interface EnrolOptions {
  readonly url: string;
  readonly ca: Buffer | undefined;
  readonly joinToken: string;
  readonly name: string;
}

const agents = { 'http:': new HttpAgent({ keepAlive: true }), 'https:': new HttpsAgent({ keepAlive: true }) };

/** Makes a device key and enrols it over the API, as `drawbridge agent enroll` does. */
export async function enrol({ url, ca, joinToken, name }: EnrolOptions): Promise<AgentIdentity> {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const { x = '' } = publicKey.export({ format: 'jwk' });
  const [tokenId = ''] = joinToken.split('.');
  const proof = sign(null, Buffer.from(enrolStatement(tokenId, x)), privateKey).toString('base64url');
  const answer = await post(url, { token: joinToken, public_key: x, proof, name }, ca);
  return { agentId: answer.agent_id, serverId: answer.server_id, privateKey };
}

async function post(base: string, body: unknown, ca: Buffer | undefined) {
  const url = new URL('/api/v1/enroll', base);
  const isTls = url.protocol === 'https:';
  const request = (isTls ? httpsRequest : httpRequest)(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    agent: agents[isTls ? 'https:' : 'http:'],
    ...(ca === undefined ? {} : { ca }),
  });
  const answered: Promise<IncomingMessage[]> = once(request, 'response');
  request.end(JSON.stringify(body));
  const [response] = await answered;
  if (response?.statusCode !== 201) throw new Error(`enrolment was answered with ${response?.statusCode}`);
  return parseEnrolled(await json(response));
}

function parseEnrolled(value: unknown): { readonly agent_id: string; readonly server_id: string } {
  if (typeof value === 'object' && value !== null && 'agent_id' in value && 'server_id' in value) {
    const { agent_id, server_id } = value;
    if (typeof agent_id === 'string' && typeof server_id === 'string') return { agent_id, server_id };
  }
  throw new Error(`no enrolment, but ${JSON.stringify(value)}`);
}
