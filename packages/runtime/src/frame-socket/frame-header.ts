/** The kinds of frame of RFC 6455 §5.2. */
export const Opcode = {
  Continuation: 0x0,
  Text: 0x1,
  Binary: 0x2,
  Close: 0x8,
  Ping: 0x9,
  Pong: 0xa,
} as const;
export type Opcode = (typeof Opcode)[keyof typeof Opcode];

const FIN = 0x80;
const RESERVED = 0x70;
const OPCODE = 0x0f;
const CONTROL = 0x08;
const MASKED = 0x80;
const LENGTH = 0x7f;

/** What the seven bits of a length hold by themselves; 126 and 127 say that 16 or 64 more follow. */
const LENGTH_SHORT_MAX = 125;
const LENGTH_16_MAX = 0xffff;

/** What a control frame may carry (RFC 6455 §5.5). */
const CONTROL_BYTES_MAX = 125;
/** Two bytes, eight of a long length, four of a mask. */
export const HEADER_BYTES_MAX = 14;

/** The peer broke RFC 6455, or a bound of ours: `closeCode` is what it is told. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
  readonly closeCode: number;

  constructor(closeCode: number, message: string) {
    super(message);
    this.closeCode = closeCode;
  }
}

/** A frame as its header announces it. */
export interface FrameHeader {
  readonly opcode: number;
  readonly isFinal: boolean;
  readonly length: number;
  /** Present exactly when the frame is masked; a copy. */
  readonly key: Uint8Array | undefined;
}

/** How long the header is that begins with a byte and `second`. */
export function headerBytes(second: number): number {
  const length = second & LENGTH;
  const extended = length <= LENGTH_SHORT_MAX ? 0 : length === LENGTH_SHORT_MAX + 1 ? 2 : 8;
  return 2 + extended + ((second & MASKED) === 0 ? 0 : 4);
}

/** The opcode in the first two bytes of a frame. Throws FrameError when no frame may begin with them. */
export function checkStart(first: number, second: number, isMasked: boolean): number {
  if ((first & RESERVED) !== 0) throw new FrameError(1002, 'a reserved bit is set');
  const opcode = first & OPCODE;
  if (!KNOWN.has(opcode)) throw new FrameError(1002, `opcode ${opcode}`);
  if (((second & MASKED) !== 0) !== isMasked) throw new FrameError(1002, isMasked ? 'not masked' : 'masked');
  if ((opcode & CONTROL) === 0) return opcode;
  if ((first & FIN) === 0) throw new FrameError(1002, 'a control frame in pieces');
  if ((second & LENGTH) > CONTROL_BYTES_MAX) throw new FrameError(1002, 'a control frame too long');
  if (opcode === Opcode.Close && (second & LENGTH) === 1) throw new FrameError(1002, 'half a close code');
  return opcode;
}

const KNOWN: ReadonlySet<number> = new Set(Object.values(Opcode));

/** Reads a whole header that passed `checkStart`. Throws FrameError for a length that is not the shortest way to say it. */
export function decodeHeader(bytes: Buffer, at: number): FrameHeader {
  const first = bytes.readUInt8(at);
  const second = bytes.readUInt8(at + 1);
  const end = at + headerBytes(second);
  return {
    opcode: first & OPCODE,
    isFinal: (first & FIN) !== 0,
    length: lengthOf(bytes, at, second & LENGTH),
    key: (second & MASKED) === 0 ? undefined : copyOfKey(bytes, end - 4),
  };
}

function lengthOf(bytes: Buffer, at: number, short: number): number {
  if (short <= LENGTH_SHORT_MAX) return short;
  const isShort = short === LENGTH_SHORT_MAX + 1;
  const high = isShort ? 0 : bytes.readUInt32BE(at + 2);
  const length = isShort ? bytes.readUInt16BE(at + 2) : bytes.readUInt32BE(at + 6);
  if (high >= 0x8000_0000) throw new FrameError(1002, 'a length of 64 bits');
  if (high > 0) return Number.MAX_SAFE_INTEGER;
  if (length <= (isShort ? LENGTH_SHORT_MAX : LENGTH_16_MAX)) throw new FrameError(1002, 'a length said too long');
  return length;
}

/** How long the header of a final frame is. */
export function headerBytesFor(length: number, isMasked: boolean): number {
  const extended = length <= LENGTH_SHORT_MAX ? 0 : length <= LENGTH_16_MAX ? 2 : 8;
  return 2 + extended + (isMasked ? 4 : 0);
}

/** Writes the header of a final frame to the start of `target`. */
export function writeHeader(target: Buffer, opcode: Opcode, length: number, key: Uint8Array | undefined): void {
  const masked = key === undefined ? 0 : MASKED;
  target[0] = FIN | opcode;
  if (length <= LENGTH_SHORT_MAX) {
    target[1] = masked | length;
  } else if (length <= LENGTH_16_MAX) {
    target[1] = masked | (LENGTH_SHORT_MAX + 1);
    target.writeUInt16BE(length, 2);
  } else {
    target[1] = masked | (LENGTH_SHORT_MAX + 2);
    target.writeUInt32BE(0, 2);
    target.writeUInt32BE(length, 6);
  }
  if (key !== undefined) target.set(key, headerBytesFor(length, true) - key.byteLength);
}

function copyOfKey(bytes: Buffer, at: number): Uint8Array {
  const key = new Uint8Array(4);
  for (let index = 0; index < 4; index += 1) key[index] = bytes.readUInt8(at + index);
  return key;
}
