import { argon2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { ControlError } from '@drawbridge/protocol';

/** OWASP's first choice for Argon2id (security.md): 19 MiB, two passes, one lane. */
const MEMORY_KIB = 19_456;
const PASSES = 2;
const LANES = 1;
const SALT_BYTES = 16;
const HASH_BYTES = 32;

const CHARACTERS_MIN = 12;
const CHARACTERS_MAX = 256;

/** PHC string: $argon2id$v=19$m=…,t=…,p=…$salt$hash. */
const PHC = /^\$argon2id\$v=19\$m=(\d{1,8}),t=(\d{1,3}),p=(\d{1,2})\$([A-Za-z0-9+/]{22,86})\$([A-Za-z0-9+/]{43,86})$/;

const derive = promisify(argon2);

/** Throws ControlError `password_weak` with what is asked for; never shows the password. */
export function requireStrong(password: string): void {
  const length = Array.from(password).length;
  if (length < CHARACTERS_MIN) {
    throw new ControlError('password_weak', `a password has at least ${CHARACTERS_MIN} characters, not ${length}`);
  }
  if (length > CHARACTERS_MAX) {
    throw new ControlError('password_weak', `a password has at most ${CHARACTERS_MAX} characters`);
  }
  if (new Set(password).size < 5) {
    throw new ControlError('password_weak', 'a password has at least five different characters');
  }
}

/** What is stored of a password. Takes about 40 ms and 19 MiB, in a thread of the pool. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const hash = await derive('argon2id', {
    message: password.normalize('NFKC'),
    nonce: salt,
    memory: MEMORY_KIB,
    passes: PASSES,
    parallelism: LANES,
    tagLength: HASH_BYTES,
  });
  return `$argon2id$v=19$m=${MEMORY_KIB},t=${PASSES},p=${LANES}$${base64(salt)}$${base64(hash)}`;
}

/** A hash that belongs to nobody: checking it takes as long as checking anybody's. */
const NOBODYS = `$argon2id$v=19$m=${MEMORY_KIB},t=${PASSES},p=${LANES}$${'A'.repeat(22)}$${'A'.repeat(43)}`;

/** Whether it is the password. `stored` null takes the same time, so that names cannot be told apart, and is false. */
export async function verifyPassword(password: string, stored: string | null): Promise<boolean> {
  const [, memory, passes, lanes, salt = '', expected = ''] = PHC.exec(stored ?? NOBODYS) ?? [];
  if (memory === undefined) throw new ControlError('internal', 'a stored password hash is not in the PHC format');
  const wanted = Buffer.from(expected, 'base64');
  const hash = await derive('argon2id', {
    message: password.normalize('NFKC'),
    nonce: Buffer.from(salt, 'base64'),
    memory: Number(memory),
    passes: Number(passes),
    parallelism: Number(lanes),
    tagLength: wanted.length,
  });
  return timingSafeEqual(hash, wanted) && stored !== null;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replace(/=+$/, '');
}
