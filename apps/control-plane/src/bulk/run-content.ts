import { z } from 'zod';
import type { BulkRunRow } from '../store/bulk-runs-repository.ts';
import type { SecretBox } from '../store/secret-box.ts';

/** What a run asks of each agent, as it waits in the store: a task's instructions, or the parameters of an operation. */
const RunContent = z.union([
  z.strictObject({ instructions: z.string() }),
  z.strictObject({ params: z.record(z.string(), z.unknown()) }),
]);
export type RunContent = z.infer<typeof RunContent>;

/** Sealed for this run alone. */
export function sealContent(box: SecretBox, runId: string, content: RunContent): Uint8Array {
  return box.seal(JSON.stringify(content), place(runId));
}

/** What `sealContent` sealed. A run whose content was erased has nothing left to start: asking for it is a bug. */
export function openContent(box: SecretBox, { id, content }: Pick<BulkRunRow, 'id' | 'content'>): RunContent {
  if (content === null) throw new Error(`bulk run ${id} has no content any more`);
  return RunContent.parse(JSON.parse(box.openText(content, place(id))));
}

function place(runId: string) {
  return { table: 'bulk_runs', row: runId, column: 'content' };
}
