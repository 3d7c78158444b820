import { randomUUID } from 'node:crypto';
import { ClosedEarlyError, firstMessage, withTimeout } from '@drawbridge/link';
import type { Clock, FirstMessage, MessageSocket } from '@drawbridge/link';
import {
  ControlError,
  LIMITS,
  LINK_SUBPROTOCOL,
  ServerMessage,
  decodeMessage,
  encodeMessage,
  helloStatement,
  isAuthRejection,
} from '@drawbridge/protocol';
import type { AuthPayload, AuthResponsePayload, HelloPayload } from '@drawbridge/protocol';
import { dialWebSocket } from '@drawbridge/runtime';
import type { TlsIdentity } from '@drawbridge/runtime';
import { machineIdFor } from '../identity/machine-id.ts';
import { isSignedBy } from '../identity/verify-server.ts';
import { authToken, authorizationHeader } from './credential.ts';
import type { Credential } from './credential.ts';

/** How this agent reaches its control plane, and how both know each other. */
export interface ServerAccess {
  /** The base address, http(s): or ws(s):. */
  readonly url: string;
  readonly agentId: string;
  readonly credential: Credential;
  /** The control plane's key, pinned at enrolment; undefined when TLS alone vouches for it. */
  readonly serverKey: string | undefined;
  /** Read anew for each dial: certificates are renewed while the agent runs. */
  readonly tls: TlsIdentity;
  readonly proxy: string | undefined;
  readonly noProxy: string | undefined;
  /** This machine's own id, of which a control plane gets a hash. */
  readonly machineId?: string | undefined;
}

/** An accepted link: what the control plane said, and the socket for the rest. */
export interface DialledLink {
  readonly socket: MessageSocket;
  readonly hello: HelloPayload;
  readonly accepted: Extract<AuthResponsePayload, { status: 'authenticated' }>;
}

/** This agent and that control plane do not get on: somebody must act. `endOfDial` reads the status. */
class RejectedError extends ControlError {
  readonly httpStatus = 401;
}

/** What an agent says of itself when it connects; id and token are added here. */
export type AgentFacts = Omit<AuthPayload, 'agent_id' | 'auth_token' | 'machine_id'>;

/** Dials, checks that the control plane is the pinned one, signs in (PROTOCOL.md §2.1). */
export async function dialLink(
  access: ServerAccess,
  facts: AgentFacts,
  clock: Clock,
  signal: AbortSignal,
): Promise<DialledLink> {
  const sessionId = randomUUID();
  const raw = await dialWebSocket(
    {
      url: new URL(`/ws/agents/${access.agentId}`, access.url).href,
      subprotocol: LINK_SUBPROTOCOL,
      headers: {
        ...authorizationHeader(access.credential),
        'x-device-id': access.agentId,
        'x-session-id': sessionId,
      },
      tls: access.tls,
      proxy: access.proxy,
      noProxy: access.noProxy,
      timeoutMs: LIMITS.dialTimeoutMs,
      maxPayloadBytes: LIMITS.messageBytesMax,
      clock,
    },
    signal,
  );
  const first = firstMessage(raw);
  try {
    const hello = await readHello(first, clock);
    requirePinnedServer(access, hello, sessionId);
    const token = await authToken(access.credential, {
      agentId: access.agentId,
      serverId: hello.server_id,
      nonce: hello.nonce,
    });
    const second = firstMessage(first.rest);
    const payload: AuthPayload = {
      ...facts,
      agent_id: access.agentId,
      auth_token: token,
      ...(access.machineId === undefined ? {} : { machine_id: machineIdFor(hello.server_id, access.machineId) }),
    };
    raw.send(
      encodeMessage({ id: randomUUID(), type: 'auth', timestamp: new Date(clock.now()).toISOString(), payload }),
    );
    return { socket: second.rest, hello, accepted: await readAnswer(second, clock) };
  } catch (error) {
    raw.terminate();
    if (error instanceof ClosedEarlyError && isAuthRejection(error.end, true)) {
      throw new RejectedError('auth_failed', error.message, { cause: error });
    }
    throw error;
  }
}

async function readHello(first: FirstMessage, clock: Clock): Promise<HelloPayload> {
  const text = await withTimeout(clock, LIMITS.helloTimeoutMs, first.message, () => {
    return new ControlError('timed_out', `no hello within ${LIMITS.helloTimeoutMs} ms`);
  });
  const message = parse(text);
  if (message.type !== 'hello') throw new ControlError('protocol_error', `hello expected, not ${message.type}`);
  return message.payload;
}

/** A proxy that breaks TLS, or a control plane that is another one, gets neither our credential nor our ear. */
function requirePinnedServer({ serverKey, agentId }: ServerAccess, hello: HelloPayload, sessionId: string): void {
  if (serverKey === undefined) return;
  if (isSignedBy(serverKey, helloStatement(hello.server_id, hello.nonce, sessionId), hello.signature)) return;
  throw new RejectedError(
    'server_key_mismatch',
    `the control plane does not hold the key that agent ${agentId} pinned`,
  );
}

async function readAnswer(second: FirstMessage, clock: Clock): Promise<DialledLink['accepted']> {
  const text = await withTimeout(clock, LIMITS.authTimeoutMs, second.message, () => {
    return new ControlError('timed_out', `no answer to auth within ${LIMITS.authTimeoutMs} ms`);
  });
  const message = parse(text);
  if (message.type !== 'auth_response')
    throw new ControlError('protocol_error', `auth_response expected, not ${message.type}`);
  if (message.payload.status === 'authenticated') return message.payload;
  const { code, message: reason, retryable } = message.payload;
  if (retryable) throw new ControlError('auth_failed', `${code}: ${reason}`);
  throw new RejectedError('auth_failed', `${code}: ${reason}`);
}

function parse(text: string | Uint8Array): ServerMessage {
  if (typeof text !== 'string') throw new ControlError('protocol_error', 'binary where text is expected');
  const decoded = decodeMessage(ServerMessage, text);
  if (!decoded.ok) throw new ControlError('protocol_error', decoded.reason);
  return decoded.message;
}
