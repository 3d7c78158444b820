import type { TerminalSize } from '@drawbridge/protocol';

/** Names the window, after putting the name it has aside; and gives it back (xterm's control sequences: XTWINOPS 22 and 23, OSC 2). */
const PUT_TITLE_ASIDE = '\u001b[22;0t';
const TAKE_TITLE_BACK = '\u001b[23;0t';

/** The terminal that this program runs in. */
export interface LocalTerminal {
  readonly input: NodeJS.ReadStream;
  readonly output: NodeJS.WriteStream;
}

/** Both ends are a terminal: what is typed is for the session, key by key. */
export function isTerminal({ input, output }: LocalTerminal): boolean {
  return input.isTTY && output.isTTY;
}

/** Undefined where there is no terminal to measure. */
export function sizeOf({ output }: LocalTerminal): TerminalSize | undefined {
  return output.isTTY ? { cols: Math.max(1, output.columns), rows: Math.max(1, output.rows) } : undefined;
}

/** Every key goes to the session, Ctrl-C too, until this is disposed. */
export function rawMode({ input }: LocalTerminal): Disposable {
  if (!input.isTTY) return { [Symbol.dispose]: () => undefined };
  input.setRawMode(true);
  return { [Symbol.dispose]: () => void input.setRawMode(false) };
}

/**
 * Says in the window's title what becomes of the connection: what the session has on the screen is its own, and stays as it is.
 */
export class TitleStatus implements Disposable {
  readonly #output: NodeJS.WriteStream;
  #isShown = false;

  constructor({ output }: LocalTerminal) {
    this.#output = output;
  }

  show(text: string): void {
    if (!this.#output.isTTY) return;
    if (!this.#isShown) this.#output.write(PUT_TITLE_ASIDE);
    this.#isShown = true;
    this.#output.write(`\u001b]2;${text}\u0007`);
  }

  clear(): void {
    if (this.#isShown) this.#output.write(TAKE_TITLE_BACK);
    this.#isShown = false;
  }

  [Symbol.dispose](): void {
    this.clear();
  }
}
