import { ControlError } from '@drawbridge/protocol';
import type { z } from 'zod';

/** A column that holds JSON as text. */
export interface JsonColumn<T> {
  /** The text to store. */
  encode(value: T): string;
  /** What the text says, checked; throws `internal`, naming the column and never the content. */
  decode(text: string): T;
}

/** The one way in and out of a JSON column. `column` is written `table.column`. */
export function jsonColumn<T>(column: string, schema: z.ZodType<T>): JsonColumn<T> {
  return {
    encode: (value) => JSON.stringify(value),
    decode(text) {
      const parsed = schema.safeParse(parseJson(column, text));
      if (parsed.success) return parsed.data;
      const paths = parsed.error.issues.map(({ path, code }) => `${path.map(String).join('.') || 'value'} (${code})`);
      throw new ControlError('internal', `${column}: stored JSON does not fit its schema: ${paths.join(', ')}`);
    },
  };
}

function parseJson(column: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's message quotes the text, so it is not kept as a cause.
    throw new ControlError('internal', `${column}: ${text.length} characters that are not JSON`);
  }
}
