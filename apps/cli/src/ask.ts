import { text } from 'node:stream/consumers';
import { Interrupted, UsageError } from './exit-codes.ts';

/** A terminal's keyboard, or a file or pipe in its place. */
export interface Input extends AsyncIterable<Buffer | string> {
  readonly isTTY?: boolean;
  setRawMode?(isRaw: boolean): unknown;
  pause(): unknown;
}

interface Keyboard {
  readonly input?: Input;
  readonly say?: (text: string) => void;
}

const LENGTH_MAX = 1024;

const ENTER = new Set(['\r', '\n', '\u0004']);
const RUB_OUT = new Set(['\u007f', '\b']);
const INTERRUPT = '\u0003';

/** A secret that is typed and never shown; from a pipe or file, its whole text. */
export async function askSecret({ question, ...keyboard }: Keyboard & { readonly question: string }): Promise<string> {
  const { input = process.stdin } = keyboard;
  if (input.isTTY !== true) return readSecret(input);
  const [secret = ''] = await typeSecrets([question], keyboard);
  return secret;
}

/** Secrets that are typed, one after the other, into the terminal that `input` is, and never shown. */
export async function typeSecrets(
  questions: readonly string[],
  { input = process.stdin, say = sayOnStderr }: Keyboard = {},
): Promise<string[]> {
  // Before the question: who answers at once must not see it either.
  input.setRawMode?.(true);
  const secrets: string[] = [];
  try {
    say(questions[0] ?? '');
    for await (const secret of typed(input)) {
      secrets.push(secret);
      const next = questions[secrets.length];
      if (next === undefined) return secrets;
      say(`\n${next}`);
    }
    throw new Interrupted();
  } finally {
    input.setRawMode?.(false);
    input.pause();
    say('\n');
  }
}

/** The text of standard input without the line's end. */
export async function readSecret(input: AsyncIterable<Buffer | string> = process.stdin): Promise<string> {
  const secret = (await text(input)).replace(/\r?\n$/, '');
  if (secret === '') throw new UsageError('standard input is empty');
  if (secret.length > LENGTH_MAX) throw new UsageError(`standard input has more than ${LENGTH_MAX} characters`);
  return secret;
}

/** Each line of what is typed, when it ends. */
async function* typed(input: Input): AsyncGenerator<string> {
  let characters: string[] = [];
  const decoder = new TextDecoder();
  for await (const chunk of input) {
    for (const character of typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true })) {
      if (character === INTERRUPT) throw new Interrupted();
      if (ENTER.has(character)) {
        yield characters.join('');
        characters = [];
      } else if (RUB_OUT.has(character)) characters = characters.slice(0, -1);
      else if (characters.length < LENGTH_MAX) characters.push(character);
    }
  }
}

function sayOnStderr(words: string): void {
  process.stderr.write(words);
}
