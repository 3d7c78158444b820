import { hash, timingSafeEqual } from 'node:crypto';
import { inspect } from 'node:util';

/** What stands where a secret was. */
export const REDACTED = '[redacted]';

/** A string that does not show itself: printed, logged, inspected or serialised it is `[redacted]`. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The secret itself. Hand it to whoever needs it, and keep no copy. */
  reveal(): string {
    return this.#value;
  }

  /** Compares without telling, by its duration, where the difference is. */
  equals(other: string): boolean {
    return secretsEqual(this.#value, other);
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [inspect.custom](): string {
    return REDACTED;
  }
}

/** Whether two strings are equal, in a time that depends on neither. */
export function secretsEqual(one: string, other: string): boolean {
  // Digests are of one length, which timingSafeEqual demands, and hide the lengths of the strings.
  return timingSafeEqual(hash('sha256', one, 'buffer'), hash('sha256', other, 'buffer'));
}
