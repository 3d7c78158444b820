import { LIMITS } from './limits.ts';
import { ProtocolError } from './errors.ts';

/** The kinds of frame, by their wire value (PROTOCOL.md §3.2). */
export const FrameType = {
  Connect: 0x01,
  ConnectAck: 0x02,
  ChannelOpen: 0x03,
  ChannelAck: 0x04,
  Data: 0x05,
  WindowUpdate: 0x06,
  Heartbeat: 0x07,
  Close: 0x08,
  Control: 0x09,
  Resume: 0x0a,
  Received: 0x0b,
} as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

/** The bits of a frame's flags byte. */
export const FrameFlag = { Err: 0x01, Fin: 0x02, Ack: 0x04, Stderr: 0x08 } as const;

/** Which flags each type may carry; any other bit is a protocol error. */
const FLAGS_ALLOWED: Readonly<Record<FrameType, number>> = {
  [FrameType.Connect]: 0,
  [FrameType.ConnectAck]: FrameFlag.Err,
  [FrameType.ChannelOpen]: FrameFlag.Err,
  [FrameType.ChannelAck]: FrameFlag.Err,
  [FrameType.Data]: FrameFlag.Fin | FrameFlag.Stderr,
  [FrameType.WindowUpdate]: 0,
  [FrameType.Heartbeat]: FrameFlag.Ack,
  [FrameType.Close]: 0,
  [FrameType.Control]: 0,
  [FrameType.Resume]: FrameFlag.Ack,
  [FrameType.Received]: 0,
};

/** One binary WebSocket message carries exactly one frame. Channel 0 is the tunnel itself. */
export interface Frame {
  readonly type: FrameType;
  readonly flags: number;
  readonly channelId: number;
  readonly payload: Uint8Array;
}

const FRAME_VERSION = 1;
const HEADER_BYTES = LIMITS.frameHeaderBytes;

/** The payload is a view of `bytes`, not a copy. Throws ProtocolError for anything §3.2 does not allow. */
export function decodeFrame(bytes: Uint8Array): Frame {
  if (bytes.byteLength < HEADER_BYTES) throw new ProtocolError('frame_truncated', `${bytes.byteLength} bytes`);
  const header = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  const version = header.getUint8(0);
  if (version !== FRAME_VERSION) throw new ProtocolError('frame_version', `${version}`);
  const type = parseType(header.getUint8(1));
  const flags = header.getUint8(2);
  if ((flags & ~FLAGS_ALLOWED[type]) !== 0) throw new ProtocolError('frame_flags', `type ${type} with flags ${flags}`);
  if (header.getUint8(3) !== 0) throw new ProtocolError('frame_reserved', `${header.getUint8(3)}`);
  const payload = bytes.subarray(HEADER_BYTES);
  const length = header.getUint32(8, true);
  if (length !== payload.byteLength)
    throw new ProtocolError('frame_length', `${length}, but ${payload.byteLength} follow`);
  if (length > LIMITS.framePayloadBytesMax) throw new ProtocolError('frame_too_large', `${length} bytes`);
  return { type, flags, channelId: header.getUint32(4, true), payload };
}

/** Header and payload in one new buffer, ready to be sent. */
export function encodeFrame(frame: Frame): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEADER_BYTES + frame.payload.byteLength);
  writeHeader(bytes, frame);
  bytes.set(frame.payload, HEADER_BYTES);
  return bytes;
}

/** The header alone, for who sends the payload right behind it. */
export function encodeFrameHeader(frame: Frame): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEADER_BYTES);
  writeHeader(bytes, frame);
  return bytes;
}

function writeHeader(bytes: Uint8Array<ArrayBuffer>, { type, flags, channelId, payload }: Frame): void {
  const length = payload.byteLength;
  if (length > LIMITS.framePayloadBytesMax) throw new ProtocolError('frame_too_large', `${length} bytes`);
  const header = new DataView(bytes.buffer);
  header.setUint8(0, FRAME_VERSION);
  header.setUint8(1, type);
  header.setUint8(2, flags);
  header.setUint32(4, channelId, true);
  header.setUint32(8, length, true);
}

function parseType(value: number): FrameType {
  if (value < FrameType.Connect || value > FrameType.Received) throw new ProtocolError('frame_type', `${value}`);
  return value as FrameType;
}
