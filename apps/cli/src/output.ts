import { once } from 'node:events';
import { styleText } from 'node:util';

/** Control characters, escape sequences and what turns text around: what an agent says is data, never an instruction. */
const UNSAFE =
  // oxlint-disable-next-line no-control-regex
  /\u001b\[[0-?]*[ -/]*[@-~]|[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** One line of text that does nothing to a terminal. */
export function plain(text: string): string {
  return text.replace(UNSAFE, '');
}

export type Colour = 'green' | 'red' | 'yellow' | 'blue' | 'dim' | 'bold';

/** Coloured when the stream is a terminal and nobody asked for none (NO_COLOR). */
export function colour(style: Colour, text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return styleText(style, text, { stream, validateStream: true });
}

/** Columns as wide as their widest cell. Cells are made plain here. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [header, ...rows].map((row) => row.map(plain));
  const widths = header.map((_, column) => Math.max(...lines.map((row) => (row[column] ?? '').length)));
  return lines
    .map((row, index) => {
      const line = row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('   ')
        .trimEnd();
      return `${index === 0 ? colour('dim', line) : line}\n`;
    })
    .join('');
}

/** `3 s ago`, `2 h ago`; `never` for nothing. */
export function ago(iso: string | null, nowMs: number): string {
  if (iso === null) return 'never';
  const seconds = Math.max(0, Math.round((nowMs - Date.parse(iso)) / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return seconds < 86_400 ? `${Math.floor(seconds / 3600)} h ago` : `${Math.floor(seconds / 86_400)} d ago`;
}

/** One JSON document on standard output. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** Writes and waits until the stream has room again, or nobody reads any more. */
export async function write(stream: NodeJS.WriteStream, chunk: Uint8Array | string): Promise<void> {
  if (stream.write(chunk)) return;
  const over = new AbortController();
  await Promise.race([once(stream, 'drain', over), once(stream, 'close', over)]).finally(() => over.abort());
}
