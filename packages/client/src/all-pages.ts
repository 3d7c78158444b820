import type { z } from 'zod';
import type { Http } from './http.ts';
import { queryOf } from './query.ts';

/** One page of a list. */
interface PageOf<Item> {
  readonly items: Item[];
  readonly next_cursor: string | null;
}

export interface AllPagesOptions {
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly limit?: number;
  readonly signal?: AbortSignal | undefined;
}

/** A whole list, page after page. */
export async function allPages<Item>(
  http: Http,
  page: z.ZodType<PageOf<Item>>,
  path: string,
  { query = {}, limit = 200, signal }: AllPagesOptions = {},
): Promise<Item[]> {
  const items: Item[] = [];
  let cursor: string | null = null;
  do {
    const answer: PageOf<Item> = await http.json(page, `${path}${queryOf({ limit, ...query, cursor })}`, { signal });
    items.push(...answer.items);
    cursor = answer.next_cursor;
  } while (cursor !== null);
  return items;
}
