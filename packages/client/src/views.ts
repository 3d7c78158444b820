import { z } from 'zod';
import { HeartbeatPayload, TaskState } from '@drawbridge/protocol';

// What the API answers. Unknown fields are ignored, so that an older client gets on with a newer control plane.

export const AgentView = z.object({
  id: z.string(),
  name: z.string(),
  labels: z.record(z.string(), z.string()),
  status: z.enum(['online', 'offline']),
  version: z.string().nullable(),
  os: z.string().nullable(),
  arch: z.string().nullable(),
  capabilities: z.array(z.string()),
  connected_at: z.string().nullable(),
  disconnected_at: z.string().nullable(),
  last_heartbeat: z.string().nullable(),
  health: HeartbeatPayload.nullable(),
});
export type AgentView = z.infer<typeof AgentView>;

export const TaskView = z.object({
  id: z.string(),
  agent_id: z.string(),
  provider: z.string(),
  mode: z.string().nullable(),
  model: z.string().nullable(),
  state: TaskState,
  timeout_seconds: z.number(),
  created_at: z.string(),
  started_at: z.string().nullable(),
  ended_at: z.string().nullable(),
  exit_code: z.number().nullable(),
  signal: z.string().nullable(),
  output_bytes: z.number().nullable(),
  output_sha256: z.string().nullable(),
  result_bytes: z.number().nullable(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
});
export type TaskView = z.infer<typeof TaskView>;

export const JoinTokenView = z.object({
  id: z.string(),
  labels: z.record(z.string(), z.string()),
  uses_left: z.number(),
  uses: z.number(),
  created_at: z.string(),
  expires_at: z.string(),
  revoked: z.boolean(),
});
export type JoinTokenView = z.infer<typeof JoinTokenView>;

/** A join token as it is shown once. */
export const IssuedJoinToken = z.object({ id: z.string(), token: z.string(), url: z.string(), expires_at: z.string() });
export type IssuedJoinToken = z.infer<typeof IssuedJoinToken>;

/** One page of a list. */
export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({ items: z.array(item), next_cursor: z.string().nullable() });
}
