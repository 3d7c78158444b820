import { ClosedEarlyError, withTimeout } from '@drawbridge/link';
import type { Clock, FirstMessage, MessageSocket } from '@drawbridge/link';
import {
  ConnectPayload,
  ControlError,
  FrameFlag,
  FrameType,
  LIMITS,
  PROTOCOL_VERSION,
  ProtocolError,
  WsClose,
  decodeFrame,
  decodeJson,
  encodeFrame,
  encodeJson,
} from '@drawbridge/protocol';
import type { ConnectAckPayload, ErrorPayload } from '@drawbridge/protocol';

/** Which tunnel a leg was dialled for. */
export interface LegPath {
  readonly agentId: string;
  readonly tunnelId: string;
}

/**
 * Reads CONNECT, the first message of a leg, within its limit. Rejects with ControlError `protocol_error` for anything else, and
 * with `auth_failed` for one that names another agent or tunnel, or a later version.
 */
export async function readConnect(
  first: FirstMessage,
  { agentId, tunnelId }: LegPath,
  clock: Clock,
): Promise<ConnectPayload> {
  const connect = await parsed(
    withTimeout(clock, LIMITS.connectTimeoutMs, first.message, () => {
      return new ControlError('auth_failed', `no CONNECT within ${LIMITS.connectTimeoutMs / 1000} s`);
    }),
  );
  if (connect.agent_id !== agentId || connect.tunnel_id !== tunnelId || connect.version > PROTOCOL_VERSION) {
    throw new ControlError('auth_failed', 'CONNECT names another agent, tunnel or version');
  }
  return connect;
}

async function parsed(message: Promise<string | Uint8Array>): Promise<ConnectPayload> {
  try {
    const bytes = await message;
    if (typeof bytes === 'string') throw new ControlError('protocol_error', 'text on a tunnel');
    const { type, channelId, payload } = decodeFrame(bytes);
    if (type !== FrameType.Connect || channelId !== 0)
      throw new ControlError('protocol_error', 'the first frame is no CONNECT');
    return decodeJson(ConnectPayload, payload);
  } catch (error) {
    if (error instanceof ProtocolError || error instanceof ClosedEarlyError)
      throw new ControlError('protocol_error', 'the first frame is no CONNECT', { cause: error });
    throw error;
  }
}

/** Answers CONNECT_ERR and closes the leg. */
export function refuseLeg(socket: MessageSocket, { code, message }: ControlError, retryable = false): void {
  const refusal = { code, message, retryable } satisfies ErrorPayload;
  socket.send(answer(FrameFlag.Err, refusal));
  socket.close(WsClose.PolicyViolation, code);
}

/** Answers CONNECT_ACK. */
export function agreeLeg(socket: MessageSocket, ack: ConnectAckPayload): void {
  socket.send(answer(0, ack));
}

function answer(flags: number, payload: unknown): Uint8Array {
  return encodeFrame({ type: FrameType.ConnectAck, flags, channelId: 0, payload: encodeJson(payload) });
}
