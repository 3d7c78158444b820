import type { z } from 'zod';

/**
 * What running an operation a second time would do. `read` and `idempotent` operations run again after a crash;
 * a `once` operation whose outcome is unknown becomes `indeterminate` (PROTOCOL.md §2.4).
 */
export type Effect = 'read' | 'idempotent' | 'once';

/** One thing an agent can be asked to do: its parameters, its result, and what a repetition would mean. */
export interface Operation<Params extends z.ZodType = z.ZodType, Result extends z.ZodType = z.ZodType> {
  readonly effect: Effect;
  readonly params: Params;
  readonly result: Result;
  /** True when `params` hold content or a secret: encrypted at rest, erased once the agent has them (PROTOCOL.md §5). */
  readonly content: boolean;
}

/** Keeps the schemas' types while it checks the shape. */
export function operation<Params extends z.ZodType, Result extends z.ZodType>(
  definition: Operation<Params, Result>,
): Operation<Params, Result> {
  return definition;
}
