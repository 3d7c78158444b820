import { sql } from 'kysely';
import type { RawBuilder, SqlBool } from 'kysely';
import type { LabelCondition, Selector } from '@drawbridge/protocol';

/** Lets through what any of these selectors selects: no selector, nothing; an empty one among them, everything. */
export type LabelFilter = readonly Selector[];

/** A condition for `where`: the agent whose id is in `column` (`table.column`) passes the filter. */
export function labelsAllow(column: string, filter: LabelFilter): RawBuilder<SqlBool> {
  if (filter.some((selector) => selector.length === 0)) return sql<SqlBool>`1 = 1`;
  if (filter.length === 0) return sql<SqlBool>`1 = 0`;
  const selected = filter.map((selector) => {
    const conditions = selector.map((condition) => conditionHolds(column, condition));
    return sql`(${sql.join(conditions, sql` and `)})`;
  });
  return sql<SqlBool>`(${sql.join(selected, sql` or `)})`;
}

function conditionHolds(column: string, condition: LabelCondition): RawBuilder<unknown> {
  const labelled = sql`select 1 from agent_labels where agent_labels.agent_id = ${sql.ref(column)}
    and agent_labels.key = ${condition.key}`;
  switch (condition.kind) {
    case 'equals':
      return sql`exists (${labelled} and agent_labels.value = ${condition.value})`;
    case 'differs':
      return sql`not exists (${labelled} and agent_labels.value = ${condition.value})`;
    case 'present':
      return sql`exists (${labelled})`;
    default:
      return sql`not exists (${labelled})`;
  }
}
