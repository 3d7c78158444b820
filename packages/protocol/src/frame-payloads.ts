import { z } from 'zod';
import { LIMITS } from './limits.ts';
import { ProtocolError } from './errors.ts';

// Receivers ignore fields they do not know (PROTOCOL.md, head), so none of these is strict.

/** CONNECT: the first frame of either leg, within 10 s. `instance` names this end's in-memory state. */
export const ConnectPayload = z.object({
  agent_id: z.uuid(),
  tunnel_id: z.uuid(),
  token: z.string().max(4096),
  protocol: z.string().max(32),
  domain: z.string().max(32).optional(),
  version: z.number().int(),
  instance: z.uuid(),
});
export type ConnectPayload = z.infer<typeof ConnectPayload>;

/** CONNECT_ACK. `grace_seconds` is how long an end keeps its channels while a leg is away; without it, not at all. */
export const ConnectAckPayload = z.object({
  heartbeat_seconds: z.number().positive(),
  idle_seconds: z.number().positive(),
  grace_seconds: z.number().positive().optional(),
});
export type ConnectAckPayload = z.infer<typeof ConnectAckPayload>;

/** CONNECT_ERR and CHANNEL_ERR. */
export const ErrorPayload = z.object({
  code: z.string().max(64),
  message: z.string().max(LIMITS.reasonCharactersMax),
  retryable: z.boolean().optional(),
});
export type ErrorPayload = z.infer<typeof ErrorPayload>;

/** CHANNEL_OPEN. `window` is the credit, in bytes, that the opener gives. */
export const ChannelOpenPayload = z.object({
  protocol: z.string().min(1).max(32),
  metadata: z.record(z.string(), z.unknown()),
  window: z.number().int().min(0).max(LIMITS.windowBytesMax),
});
export type ChannelOpenPayload = z.infer<typeof ChannelOpenPayload>;

/** CHANNEL_ACK. `window` is the credit the acceptor gives. */
export const ChannelAckPayload = z.object({
  window: z.number().int().min(0).max(LIMITS.windowBytesMax),
  metadata: z.record(z.string(), z.unknown()).optional(),
});
export type ChannelAckPayload = z.infer<typeof ChannelAckPayload>;

/** CLOSE. `code` is one of `CloseReason`; `exit_code` is set when a process ended. */
export const ClosePayload = z.object({
  code: z.number().int().min(0).max(255),
  reason: z.string().max(LIMITS.reasonCharactersMax),
  exit_code: z.number().int().optional(),
});
export type ClosePayload = z.infer<typeof ClosePayload>;

/** CONTROL: what it holds belongs to the channel's protocol. */
export const ControlPayload = z.record(z.string(), z.unknown());
export type ControlPayload = z.infer<typeof ControlPayload>;

/** RESUME: both legs have connected. `peer_instance` names the in-memory state of the other end. */
export const ResumePayload = z.object({
  epoch: z.int().positive(),
  peer_instance: z.uuid(),
});
export type ResumePayload = z.infer<typeof ResumePayload>;

/** RESUME+ACK. `received` is how many counted frames this end has of the other, since the other's instance began. */
export const ResumeAckPayload = z.object({
  epoch: z.int().positive(),
  received: z.int().min(0),
});
export type ResumeAckPayload = z.infer<typeof ResumeAckPayload>;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** JSON of a frame's payload as bytes. */
export function encodeJson(value: unknown): Uint8Array<ArrayBuffer> {
  return encoder.encode(JSON.stringify(value));
}

/** Parses the JSON payload of a frame. Throws ProtocolError `frame_payload` for anything but what `schema` describes. */
export function decodeJson<T>(schema: z.ZodType<T>, payload: Uint8Array): T {
  if (payload.byteLength > LIMITS.frameJsonBytesMax) {
    throw new ProtocolError('frame_payload', `${payload.byteLength} bytes of JSON`);
  }
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(payload));
  } catch {
    throw new ProtocolError('frame_payload', 'not JSON');
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new ProtocolError('frame_payload', z.prettifyError(parsed.error).slice(0, 200));
  return parsed.data;
}

/** A u32 payload, little endian: WINDOW_UPDATE and RECEIVED. */
export function encodeU32(value: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** Throws ProtocolError `frame_payload` unless the payload is four bytes. */
export function decodeU32(payload: Uint8Array): number {
  if (payload.byteLength !== 4) throw new ProtocolError('frame_payload', `${payload.byteLength} bytes, not 4`);
  return new DataView(payload.buffer, payload.byteOffset, 4).getUint32(0, true);
}
