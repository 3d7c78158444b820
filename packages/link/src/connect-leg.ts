import {
  ConnectAckPayload,
  ControlError,
  decodeFrame,
  decodeJson,
  encodeFrame,
  encodeJson,
  ERROR_CODES,
  ErrorPayload,
  FrameFlag,
  FrameType,
  LIMITS,
  PROTOCOL_VERSION,
  ProtocolError,
} from '@drawbridge/protocol';
import type { ConnectPayload } from '@drawbridge/protocol';
import { withTimeout } from './clock.ts';
import type { Clock } from './clock.ts';
import { ClosedEarlyError, firstMessage } from './first-message.ts';
import type { MessageSocket } from './socket.ts';

/** A leg on which both sides have agreed. */
export interface ConnectedLeg {
  readonly socket: MessageSocket;
  readonly ack: ConnectAckPayload;
}

/**
 * Says CONNECT on a leg and waits for the answer, `LIMITS.connectTimeoutMs` at most. Rejects with ControlError, and drops the socket: the code
 * of a refusal (with `retryable` in the details), or `tunnel_unavailable`.
 */
export async function connectLeg(
  socket: MessageSocket,
  connect: Omit<ConnectPayload, 'version'>,
  clock: Clock,
): Promise<ConnectedLeg> {
  const first = firstMessage(socket);
  try {
    const payload = encodeJson({ ...connect, version: PROTOCOL_VERSION } satisfies ConnectPayload);
    socket.send(encodeFrame({ type: FrameType.Connect, flags: 0, channelId: 0, payload }));
    const message = await withTimeout(
      clock,
      LIMITS.connectTimeoutMs,
      first.message,
      () => new ControlError('tunnel_unavailable', `no answer to CONNECT within ${LIMITS.connectTimeoutMs / 1000} s`),
    );
    return { socket: first.rest, ack: parseAnswer(message) };
  } catch (error) {
    socket.terminate();
    if (error instanceof ProtocolError || error instanceof ClosedEarlyError)
      throw new ControlError('tunnel_unavailable', `CONNECT: ${error.message}`, { cause: error });
    throw error;
  }
}

/** Throws ControlError for a refusal, ProtocolError for what is no answer. */
function parseAnswer(message: string | Uint8Array): ConnectAckPayload {
  if (typeof message === 'string') throw new ProtocolError('message_binary', 'a text message on a tunnel');
  const { type, flags, payload } = decodeFrame(message);
  if (type !== FrameType.ConnectAck)
    throw new ProtocolError('frame_unexpected', `CONNECT was answered with type ${type}`);
  if ((flags & FrameFlag.Err) === 0) return decodeJson(ConnectAckPayload, payload);
  const refusal = decodeJson(ErrorPayload, payload);
  const code = ERROR_CODES.find((known) => known === refusal.code) ?? 'tunnel_unavailable';
  throw new ControlError(code, `CONNECT was refused: ${refusal.message} (${refusal.code})`, {
    details: { retryable: refusal.retryable ?? false },
  });
}
