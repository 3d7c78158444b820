import { UsageError } from './exit-codes.ts';

/** `k=v` as a pair. Throws UsageError for anything else. */
export function parseLabel(text: string): [key: string, value: string] {
  const index = text.indexOf('=');
  if (index < 1) throw new UsageError(`${text} is no label: write key=value`);
  return [text.slice(0, index), text.slice(index + 1)];
}

/** `k=v` sets a label, `k-` takes it away: null. */
export function labelChanges(texts: readonly string[]): Record<string, string | null> {
  return Object.fromEntries(
    texts.map((text) => (/^[^=]+-$/.test(text) ? [text.slice(0, -1), null] : parseLabel(text))),
  );
}
