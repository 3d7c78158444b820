import { z } from 'zod';

/** A command and how it ended. */
export const CommandView = z.object({
  id: z.string(),
  agent_id: z.string(),
  operation: z.string(),
  state: z.enum(['queued', 'delivered', 'running', 'succeeded', 'failed', 'cancelled', 'expired', 'indeterminate']),
  data: z.unknown().optional(),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
});
export type CommandView = z.infer<typeof CommandView>;
