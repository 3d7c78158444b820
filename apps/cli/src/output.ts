import { once } from 'node:events';
import { styleText } from 'node:util';

/** Control characters, escape sequences and what turns text around or breaks its line: what others say is data, never an instruction. */
const UNSAFE =
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  /\u001b\[[0-?]*[ -/]*[@-~]|[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** One line of text that does nothing to a terminal. */
export function plain(text: string): string {
  return text.replace(UNSAFE, '');
}

export type Colour = 'green' | 'red' | 'yellow' | 'blue' | 'dim' | 'bold';

/** Coloured when the stream is a terminal and nobody asked for none (NO_COLOR), or somebody asked for it (FORCE_COLOR). */
export function colour(style: Colour, text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return styleText(style, text, { stream, validateStream: true });
}

/** `3 s ago`, `2 h ago`; `never` for nothing. */
export function ago(iso: string | null, nowMs: number): string {
  if (iso === null) return 'never';
  const seconds = Math.max(0, Math.round((nowMs - Date.parse(iso)) / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return seconds < 86_400 ? `${Math.floor(seconds / 3600)} h ago` : `${Math.floor(seconds / 86_400)} d ago`;
}

/** `site=lab,env=prod`. */
export function labelText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}

/** `text` made plain, and the end of its line. */
export function line(text: string): string {
  return `${plain(text)}\n`;
}

/** One JSON document on standard output. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** The option that every command with an answer has. */
export interface JsonOption {
  readonly json?: boolean;
}

/** One thing: a JSON document, or what `forPeople` makes of it. */
export function print<T>(value: T, { json }: JsonOption, forPeople: (value: T) => string): void {
  if (json === true) printJson(value);
  else process.stdout.write(forPeople(value));
}

/** Many things: a JSON document a line, or what `forPeople` makes of them. */
export function printAll<T>(
  values: readonly T[],
  { json }: JsonOption,
  forPeople: (values: readonly T[]) => string,
): void {
  if (json === true) values.forEach(printJson);
  else process.stdout.write(forPeople(values));
}

/** For people, on standard error: it is no part of the answer. */
export function note(text: string, style: Colour = 'dim'): void {
  process.stderr.write(`${colour(style, plain(text), process.stderr)}\n`);
}

/** Writes and waits until the stream has room again, or nobody reads any more. */
export async function write(stream: NodeJS.WriteStream, chunk: Uint8Array | string): Promise<void> {
  if (stream.write(chunk)) return;
  const over = new AbortController();
  await Promise.race([once(stream, 'drain', over), once(stream, 'close', over)]).finally(() => over.abort());
}
