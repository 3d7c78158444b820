import { randomBytes } from 'node:crypto';
import { ClosedEarlyError, withTimeout } from '@drawbridge/link';
import type { Clock, FirstMessage, MessageSocket } from '@drawbridge/link';
import {
  AgentMessage,
  ControlError,
  LIMITS,
  PROTOCOL_VERSION,
  ProtocolError,
  WsClose,
  decodeMessage,
  helloStatement,
} from '@drawbridge/protocol';
import type { AuthPayload } from '@drawbridge/protocol';
import { verifyAgentToken } from '../agents/agent-auth.ts';
import type { ServerIdentity } from '../identity/server-identity.ts';
import type { AgentRow } from '../store/agents-repository.ts';
import { sendMessage } from './send-message.ts';

export interface HandshakeOptions {
  readonly socket: MessageSocket;
  readonly first: FirstMessage;
  readonly agent: AgentRow;
  /** X-Session-Id of this attempt: the signature in `hello` binds it. */
  readonly sessionId: string;
  readonly identity: ServerIdentity;
  readonly clock: Clock;
  /** Called when the credential is wrong, and not when the connection broke. */
  readonly onRefused?: () => void;
}

/**
 * Says `hello`, reads `auth` and nothing else, and checks it (PROTOCOL.md §2.1). Undefined when the agent was turned away:
 * it has been told why, and the socket is closing.
 */
export async function shakeHands(options: HandshakeOptions): Promise<AuthPayload | undefined> {
  const { socket, agent, identity, clock } = options;
  const nonce = randomBytes(32).toString('base64url');
  sendMessage(socket, clock, 'hello', {
    server_id: identity.serverId,
    nonce,
    time: new Date(clock.now()).toISOString(),
    version: PROTOCOL_VERSION,
    signature: identity.sign(helloStatement(identity.serverId, nonce, options.sessionId)),
  });
  try {
    const text = await withTimeout(clock, LIMITS.authTimeoutMs, options.first.message, () => {
      return new ControlError('timed_out', 'auth timeout');
    });
    const auth = parseAuth(text, agent);
    await verifyAgentToken(agent, auth.auth_token, { serverId: identity.serverId, nonce, nowMs: clock.now() });
    return auth;
  } catch (error) {
    if (error instanceof ControlError && error.code === 'auth_failed') options.onRefused?.();
    turnAway(socket, clock, error);
    return undefined;
  }
}

function parseAuth(message: string | Uint8Array, agent: AgentRow): AuthPayload {
  if (typeof message !== 'string') throw new ProtocolError('message_binary', 'binary where text is expected');
  const decoded = decodeMessage(AgentMessage, message);
  if (!decoded.ok) throw new ControlError('invalid_message', `auth expected: ${decoded.reason}`);
  if (decoded.message.type !== 'auth')
    throw new ControlError('auth_failed', `auth expected, not ${decoded.message.type}`);
  const auth = decoded.message.payload;
  if (auth.agent_id !== agent.agent_id) throw new ControlError('auth_failed', 'auth names another agent');
  return auth;
}

/** One answer for each way a handshake fails; the close's reason tells a credential from a passing trouble. */
function turnAway(socket: MessageSocket, clock: Clock, error: unknown): void {
  if (error instanceof ProtocolError) {
    socket.close(error.code === 'message_json' ? WsClose.InvalidPayload : WsClose.UnsupportedData, error.code);
  } else if (error instanceof ControlError && error.code === 'timed_out') {
    socket.close(WsClose.PolicyViolation, 'auth timeout');
  } else if (error instanceof ClosedEarlyError) {
    // It closed before it said anything: there is nobody to answer.
  } else if (error instanceof ControlError) {
    const { code, message } = error;
    sendMessage(socket, clock, 'auth_response', { status: 'rejected', code, message, retryable: false });
    socket.close(WsClose.PolicyViolation, `401 ${code}`);
  } else {
    socket.close(WsClose.InternalError, 'internal error');
    throw error;
  }
}
