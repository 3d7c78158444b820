import { z } from 'zod';
import { LIMITS } from './limits.ts';
import { ControlError, ProtocolError } from './errors.ts';

/** What every message of the control link has around its payload (PROTOCOL.md §2.2). */
export interface Envelope<Type extends string, Payload> {
  readonly id: string;
  readonly type: Type;
  readonly timestamp: string;
  readonly payload: Payload;
}

/** The schema of one kind of message. Unknown fields are ignored, so that newer peers can add some. */
export function envelope<const Type extends string, Payload extends z.ZodType>(type: Type, payload: Payload) {
  return z.object({ id: z.string().min(1).max(64), type: z.literal(type), timestamp: z.iso.datetime(), payload });
}

/** As text for the wire. Throws ControlError `payload_too_large` past 256 KiB: the limit is kept where a message is made. */
export function encodeMessage(message: Envelope<string, unknown>): string {
  const text = JSON.stringify(message);
  if (text.length * 3 > LIMITS.messageBytesMax && utf8Bytes(text) > LIMITS.messageBytesMax) {
    throw new ControlError(
      'payload_too_large',
      `message ${message.type} is longer than ${LIMITS.messageBytesMax} bytes`,
    );
  }
  return text;
}

/** What a receiver made of one message: the message itself, or why it is not one. */
export type Decoded<Message> =
  | { readonly ok: true; readonly message: Message }
  | { readonly ok: false; readonly ref: string | undefined; readonly reason: string };

/**
 * Parses one text message. What is no JSON throws ProtocolError (the socket is closed); an unknown type or a malformed
 * payload comes back as `ok: false` (the sender is told, the socket stays).
 */
export function decodeMessage<Message>(schema: z.ZodType<Message>, text: string): Decoded<Message> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ProtocolError('message_json', 'not JSON');
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return { ok: true, message: parsed.data };
  return { ok: false, ref: idOf(value), reason: firstIssue(parsed.error) };
}

/** `path: what is wrong` of the first problem, short enough for a log line. */
export function firstIssue(error: z.ZodError): string {
  const issue = error.issues[0];
  if (issue === undefined) return 'invalid';
  const path = issue.path.map(String).join('.');
  return `${path === '' ? '' : `${path}: `}${issue.message}`.slice(0, 300);
}

function idOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !('id' in value)) return undefined;
  return typeof value.id === 'string' ? value.id.slice(0, 64) : undefined;
}

/** The length of a string in UTF-8. */
export function utf8Bytes(text: string): number {
  let bytes = text.length;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit > 0x7f) bytes += unit > 0x7ff && (unit < 0xd800 || unit > 0xdfff) ? 2 : 1;
  }
  return bytes;
}
