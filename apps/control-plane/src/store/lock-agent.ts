import { engineOf } from './engine.ts';
import type { Db } from './store.ts';

/**
 * Keeps others from counting, and then adding to, what belongs to this agent until the transaction ends. SQLite runs
 * transactions one after the other and needs no lock.
 */
export async function lockAgent(transaction: Db, agentId: string): Promise<void> {
  if (engineOf(transaction) === 'sqlite') return;
  // Not `for update`: rows that refer to the agent may be added meanwhile.
  await transaction.selectFrom('agents').select('agent_id').where('agent_id', '=', agentId).forNoKeyUpdate().execute();
}
