import { randomUUID } from 'node:crypto';
import type { SeededRandom } from '@drawbridge/testkit';

const TYPES = ['auth', 'heartbeat', 'telemetry', 'ack', 'command_response', 'event', 'error', 'disconnect', 'command'];
const KEYS = [
  'seq',
  'kind',
  'data',
  'command_id',
  'state',
  'status',
  'samples',
  'reason',
  'code',
  '__proto__',
  'providers',
];

/** For tests: a message of a control link that is right in parts: more of the program sees it than of noise. */
export function randomMessage(random: SeededRandom): string | Uint8Array {
  if (random.integer(0, 999) === 0) return random.bytes(random.integer(0, 300));
  if (random.integer(0, 999) === 0) return Buffer.from(random.bytes(100)).toString('latin1');
  const id = random.pick<unknown>([randomUUID(), '', 7, 'x'.repeat(100)]);
  const timestamp = random.pick<unknown>([new Date().toISOString(), 'now', null]);
  return JSON.stringify({ id, type: random.pick(TYPES), timestamp, payload: randomValue(random, 3) });
}

function randomValue(random: SeededRandom, depth: number): unknown {
  const leaf = random.pick<unknown>([null, true, -1, 0, 1, 1e308, '', 'success', 'task.state', randomUUID(), [], {}]);
  if (depth === 0 || random.integer(0, 3) === 0) return leaf;
  const entries = Array.from({ length: random.integer(0, 4) }, () => [
    random.pick(KEYS),
    randomValue(random, depth - 1),
  ]);
  return Object.fromEntries(entries);
}

/** For tests: a frame with a good header in most cases, and noise in it. */
export function randomFrame(random: SeededRandom): Uint8Array {
  const bytes = Buffer.concat([Buffer.alloc(12), random.bytes(random.integer(0, 64))]);
  bytes[0] = random.integer(0, 99) === 0 ? 2 : 1;
  bytes[1] = random.integer(0, 12);
  bytes[2] = random.pick([0, 0, 0, 1, 2, 4, 8, 255]);
  bytes.writeUInt32LE(random.integer(0, 5), 4);
  bytes.writeUInt32LE(random.integer(0, 50) === 0 ? 0xffff_ffff : bytes.length - 12, 8);
  return bytes;
}
