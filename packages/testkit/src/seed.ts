import { randomInt } from 'node:crypto';

const SEED_MAX = 2 ** 32;

/** Numbers that look random and are the same again for the same seed. */
export class SeededRandom {
  readonly seed: number;
  #state: number;

  constructor(seed: number) {
    this.seed = seed;
    this.#state = seed >>> 0;
  }

  /** From 0 up to, and without, 1: fits wherever a `random` parameter is asked for. */
  readonly next = (): number => {
    // SplitMix32: one addition and three mixing steps, and any seed is a good one.
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / SEED_MAX;
  };

  /** A whole number from `min` to `max`, both included. */
  integer(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  /** That many bytes. */
  bytes(lengthBytes: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length: lengthBytes }, () => this.integer(0, 255));
  }

  /** One of `choices`, which must not be empty. */
  pick<T>(choices: readonly T[]): T {
    const choice = choices[this.integer(0, choices.length - 1)];
    if (choice === undefined) throw new RangeError('nothing to pick from');
    return choice;
  }
}

/** Runs a random test. When it fails, the error names the seed that, as DRAWBRIDGE_SEED, makes it fail again. */
export async function withSeed<T>(
  body: (random: SeededRandom) => T | Promise<T>,
  env: NodeJS.ProcessEnv = process.env,
): Promise<T> {
  const random = new SeededRandom(readSeed(env) ?? randomInt(SEED_MAX));
  try {
    return await body(random);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(`DRAWBRIDGE_SEED=${random.seed}: ${message}`, { cause: error });
  }
}

function readSeed(env: NodeJS.ProcessEnv): number | undefined {
  const text = env['DRAWBRIDGE_SEED'];
  if (text === undefined || text === '') return undefined;
  const seed = Number(text);
  if (!Number.isInteger(seed) || seed < 0 || seed >= SEED_MAX)
    throw new Error(`DRAWBRIDGE_SEED: ${text} is not a seed`);
  return seed;
}
