/** What of typed bytes goes on, and what was meant for this program. */
export interface Typed {
  readonly bytes: Uint8Array;
  /** `leave`: `~.`; `help`: `~?`. Bytes typed after it are dropped. */
  readonly command: 'leave' | 'help' | undefined;
}

const TILDE = 0x7e;
const COMMANDS: Readonly<Record<number, 'leave' | 'help'>> = { 0x2e: 'leave', 0x3f: 'help' };
/** Enter, and what ends a line of a file. */
const LINE_ENDS: ReadonlySet<number> = new Set([0x0d, 0x0a]);

/**
 * The escapes of OpenSSH: at the beginning of a line `~.` leaves, `~?` helps, and `~~` is one `~`. A lone `~` there waits for what comes next.
 */
export class Escapes {
  #isLineStart = true;
  #hasTilde = false;

  take(typed: Uint8Array): Typed {
    const kept: number[] = [];
    for (const byte of typed) {
      if (this.#hasTilde) {
        this.#hasTilde = false;
        const command = COMMANDS[byte];
        if (command !== undefined) return { bytes: Uint8Array.from(kept), command };
        kept.push(TILDE);
        if (byte === TILDE) {
          this.#isLineStart = false;
          continue;
        }
      } else if (byte === TILDE && this.#isLineStart) {
        this.#hasTilde = true;
        continue;
      }
      kept.push(byte);
      this.#isLineStart = LINE_ENDS.has(byte);
    }
    return { bytes: Uint8Array.from(kept), command: undefined };
  }
}
