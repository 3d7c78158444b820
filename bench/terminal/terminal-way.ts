/** A program on a terminal somewhere, as its viewer has it. */
export interface OpenTerminal extends AsyncDisposable {
  /** What it prints, until it ends. One reader. */
  readonly output: AsyncIterator<Uint8Array>;
  write(bytes: Uint8Array): Promise<void>;
}

/** A way to a terminal: ours, or a reference. */
export interface TerminalWay {
  /** Runs a line of shell there. */
  open(command: string): Promise<OpenTerminal>;
}

/** Reads until `text` has come; what comes behind it in the same piece is dropped. */
export async function untilPrinted({ output }: OpenTerminal, text: string): Promise<void> {
  for (let seen = ''; !seen.includes(text);) {
    const { done, value } = await output.next();
    if (done === true) throw new Error(`the terminal ended before it printed ${text}`);
    seen += Buffer.from(value).toString('latin1');
  }
}
