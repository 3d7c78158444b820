import { z } from 'zod';
import { HeartbeatPayload } from '../messages/agent.ts';
import { Time, pageOf } from './common.ts';

/** An agent. What it says of itself (version, os, arch, capabilities, health) is its own word: untrusted text. */
export const AgentView = z.object({
  id: z.string(),
  name: z.string(),
  labels: z.record(z.string(), z.string()),
  status: z.enum(['online', 'offline']),
  version: z.string().nullable(),
  os: z.string().nullable(),
  arch: z.string().nullable(),
  capabilities: z.array(z.string()),
  created_at: Time,
  connected_at: Time.nullable(),
  disconnected_at: Time.nullable(),
  last_heartbeat: Time.nullable(),
  health: HeartbeatPayload.nullable(),
});
export type AgentView = z.infer<typeof AgentView>;

/** How an agent fared at one moment. `cpu` is a share of 1, `load` that of the last minute; null: it did not say. */
export const HealthSample = z.object({
  at: Time,
  cpu: z.number().nullable(),
  load: z.number().nullable(),
  memory_total_bytes: z.number().nullable(),
  memory_available_bytes: z.number().nullable(),
  received_bytes_per_second: z.number().nullable(),
  sent_bytes_per_second: z.number().nullable(),
  rtt_ms: z.number().nullable(),
  tasks_running: z.number().nullable(),
});
export type HealthSample = z.infer<typeof HealthSample>;

/** What an agent is told to do, and what it makes of it: its own file has the last word. */
export const AgentConfigView = z.object({
  /** What was set for this agent alone; null: what all agents are told. */
  wanted: z.object({ heartbeat_interval: z.number().nullable(), command_timeout: z.number().nullable() }),
  /** What it is told. */
  told: z.object({ heartbeat_interval: z.number(), command_timeout: z.number() }),
  state: z.enum(['default', 'pending', 'applied', 'refused']),
  /** What it said that it does; null: it has not said. */
  applied: z.object({ heartbeat_interval: z.number().optional(), command_timeout: z.number().optional() }).nullable(),
  reason: z.string().nullable(),
  updated_at: Time.nullable(),
  answered_at: Time.nullable(),
});
export type AgentConfigView = z.infer<typeof AgentConfigView>;

/** One page of the list of agents. */
export const AgentPage = pageOf(AgentView);
export type AgentPage = z.infer<typeof AgentPage>;

/** An agent made with an API key: the key is shown this once. */
export const IssuedAgentKey = z.object({
  agent_id: z.string(),
  name: z.string(),
  auth_token: z.string(),
  expires_at: Time,
});
export type IssuedAgentKey = z.infer<typeof IssuedAgentKey>;

export const JoinTokenView = z.object({
  id: z.string(),
  labels: z.record(z.string(), z.string()),
  uses_left: z.number(),
  uses: z.number(),
  created_at: Time,
  expires_at: Time,
  revoked: z.boolean(),
});
export type JoinTokenView = z.infer<typeof JoinTokenView>;

/** A join token as it is shown once. */
export const IssuedJoinToken = z.object({ id: z.string(), token: z.string(), url: z.string(), expires_at: Time });
export type IssuedJoinToken = z.infer<typeof IssuedJoinToken>;
