import { z } from 'zod';

/** UTC, ISO 8601. */
export const Time = z.string().meta({ format: 'date-time' });

/** Every error, wherever it comes from. `code` is stable, `message` says what and why. */
export const ErrorView = z.object({
  code: z.string(),
  message: z.string(),
  request_id: z.string().optional(),
  details: z.record(z.string(), z.unknown()).optional(),
});
export type ErrorView = z.infer<typeof ErrorView>;

/** One page of a list; `next_cursor` is null on the last. */
export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({ items: z.array(item), next_cursor: z.string().nullable() });
}
