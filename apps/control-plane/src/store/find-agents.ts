import { LIMITS } from '@drawbridge/protocol';
import type { AgentRow } from './agents-repository.ts';
import { labelsAllow } from './label-filter.ts';
import type { LabelFilter } from './label-filter.ts';
import type { Db } from './store.ts';

/** Those of the agents with these ids, or these names, that the filter lets through and nobody has revoked. */
export async function findAgents(
  db: Db,
  { ids, names }: { readonly ids: readonly string[]; readonly names: readonly string[] },
  filter: LabelFilter,
): Promise<AgentRow[]> {
  const found: AgentRow[] = [];
  for (const [column, values] of [['agent_id', ids] as const, ['name', names] as const]) {
    for (let start = 0; start < values.length; start += LIMITS.rowsPerStatementMax) {
      const rows = await db
        .selectFrom('agents')
        .selectAll()
        .where(column, 'in', values.slice(start, start + LIMITS.rowsPerStatementMax))
        .where('status', '!=', 'revoked')
        .where(labelsAllow('agents.agent_id', filter))
        .execute();
      found.push(...rows);
    }
  }
  return found;
}
