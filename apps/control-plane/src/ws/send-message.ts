import { randomUUID } from 'node:crypto';
import type { Clock, MessageSocket } from '@drawbridge/link';
import { encodeMessage } from '@drawbridge/protocol';

/** Sends one message of the control link, in its envelope, and says how many bytes it is. Throws ControlError `payload_too_large` past 256 KiB. */
export function sendMessage(
  socket: MessageSocket,
  clock: Clock,
  type: string,
  payload: unknown,
  id: string = randomUUID(),
): number {
  const text = encodeMessage({ id, type, timestamp: new Date(clock.now()).toISOString(), payload });
  socket.send(text);
  return Buffer.byteLength(text);
}
