import { ControlError, LIMITS, parseSelector } from '@drawbridge/protocol';
import { BULK_LIMITS } from '@drawbridge/protocol/api';
import { agentNotFound } from '../agents/agent-resource.ts';
import { scopeOf } from '../operators/authorise.ts';
import type { Actor } from '../operators/actor.ts';
import { AgentsRepository } from '../store/agents-repository.ts';
import type { AgentRow } from '../store/agents-repository.ts';
import { findAgents } from '../store/find-agents.ts';
import type { Db } from '../store/store.ts';
import { isUuid } from '../store/uuid.ts';

/** Which agents a run is for: those a selector selects, or these (ids or names). */
export type AgentChoice =
  | { readonly kind: 'selector'; readonly selector: string }
  | { readonly kind: 'agents'; readonly agents: readonly string[] };

/**
 * The agents of the choice that the actor may see, at most `BULK_LIMITS.targetsMax`. Throws ControlError `agent_not_found` when
 * there is none, or one that was named is missing, and `invalid_request` when there are too many.
 */
export function chooseAgents(db: Db, choice: AgentChoice, actor: Actor): Promise<AgentRow[]> {
  return choice.kind === 'selector' ? bySelector(db, choice.selector, actor) : byName(db, choice.agents, actor);
}

async function bySelector(db: Db, selector: string, actor: Actor): Promise<AgentRow[]> {
  const repository = new AgentsRepository(db);
  const filters = [scopeOf(actor, 'agent.read'), [parseSelector(selector)]];
  const agents: AgentRow[] = [];
  for (;;) {
    const page = { limit: LIMITS.rowsPerStatementMax, cursor: agents.at(-1)?.name };
    const rows = await repository.list(page, filters);
    agents.push(...rows);
    if (agents.length > BULK_LIMITS.targetsMax) {
      throw new ControlError('invalid_request', `the selector reaches more than ${BULK_LIMITS.targetsMax} agents`);
    }
    if (rows.length < page.limit) break;
  }
  if (agents.length === 0) throw new ControlError('agent_not_found', 'no agent that you may see is selected');
  return agents;
}

async function byName(db: Db, asked: readonly string[], actor: Actor): Promise<AgentRow[]> {
  const ids = asked.filter(isUuid);
  const names = asked.filter((text) => !isUuid(text));
  const found = await findAgents(db, { ids, names }, scopeOf(actor, 'agent.read'));
  // Ids last: a name may look like the id of another agent, and never stands for it.
  const byEither = new Map([
    ...found.map((row) => [row.name, row] as const),
    ...found.map((row) => [row.agent_id, row] as const),
  ]);
  // In the order in which they were named, each once.
  const agents = new Map<string, AgentRow>();
  for (const text of asked) {
    const row = byEither.get(text);
    if (row === undefined) throw agentNotFound(text);
    agents.set(row.agent_id, row);
  }
  return [...agents.values()];
}
