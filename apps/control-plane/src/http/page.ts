import { z } from 'zod';

/** What every list takes. */
export const Page = z.strictObject({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().min(1).max(200).optional(),
});

/** One page out of `limit + 1` items: the one too many says that there is another page. */
export function page<T>(items: readonly T[], limit: number, cursorOf: (last: T) => string) {
  const shown = items.slice(0, limit);
  const last = shown.at(-1);
  return { items: shown, next_cursor: items.length > limit && last !== undefined ? cursorOf(last) : null };
}
