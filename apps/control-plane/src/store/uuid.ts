import { randomBytes, randomInt } from 'node:crypto';

/** A new millisecond counts from a random start in the lower half: the upper half is room for more of it. */
const COUNTER_START_MAX = 0x800;
const COUNTER_MAX = 0xfff;

let lastMs = -1;
let counter = 0;

/**
 * A UUIDv7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, a counter of 12 bits (§6.2), 62 random bits. Ids that this process
 * makes later sort later, as long as its clock is not set back.
 */
export function uuidv7(nowMs: number): string {
  counter = nowMs === lastMs && counter < COUNTER_MAX ? counter + 1 : randomInt(COUNTER_START_MAX);
  lastMs = nowMs;
  const bytes = randomBytes(16);
  bytes.writeUIntBE(nowMs, 0, 6);
  bytes.writeUInt16BE(0x7000 | counter, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** A UUID of any version as a regular expression: lower case, as we write them. */
export const UUID_PATTERN = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}';

const UUID = new RegExp(`^${UUID_PATTERN}$`);

/** True for a UUID and nothing around it. */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}
