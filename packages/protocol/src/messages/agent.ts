import { z } from 'zod';
import { MachineId } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import { envelope } from '../envelope.ts';
import { LinkConfigUpdate } from './server.ts';
import { DisconnectMessage, ErrorMessage, Outcome } from './shared.ts';

const Count = z.number().int().nonnegative();
const Share = z.number().nonnegative().max(1_000_000);

/** `auth`: who connects, and with which journal. `auth_token` is a JWT signed with the device key, or an API key `dbk_…`. */
export const AuthPayload = z.object({
  agent_id: z.uuid(),
  auth_token: z.string().min(1).max(4096),
  version: z.string().max(64),
  capabilities: z.array(z.string().max(64)).max(64),
  journal_id: z.uuid(),
  last_event_seq: Count,
  /** This process of the agent: two that take turns under one identity are a cloned machine. */
  instance: z.uuid().optional(),
  /** The machine this agent runs on. */
  machine_id: MachineId.optional(),
  name: z.string().max(255).optional(),
  os: z.string().max(128).optional(),
  arch: z.string().max(32).optional(),
});
export type AuthPayload = z.infer<typeof AuthPayload>;

/** Whether a provider's binary is there, and if not, why. */
export const ProviderHealth = z.object({
  name: z.string().max(32),
  available: z.boolean(),
  reason: z.string().max(300).optional(),
});

/** A sample of the machine's health. `cpu` and `memory` are shares of 1, `bandwidth` is bytes per second. */
export const HeartbeatPayload = z.object({
  rtt_ms: z.number().nonnegative().optional(),
  load: z.array(Share).max(3).optional(),
  cpu: Share.optional(),
  memory: z.object({ total_bytes: Count, available_bytes: Count, rss_bytes: Count }).optional(),
  bandwidth: z
    .object({ received_bytes_per_second: Share.max(1e12), sent_bytes_per_second: Share.max(1e12) })
    .optional(),
  queue: z.object({ depth: Count, capacity: Count, dropped: Count }).optional(),
  docker: z
    .object({
      reachable: z.boolean(),
      version: z.string().max(64).optional(),
      latency_ms: z.number().nonnegative().optional(),
    })
    .optional(),
  providers: z.array(ProviderHealth).max(64).optional(),
  tasks_running: Count.optional(),
  sessions: Count.optional(),
  tunnels: Count.optional(),
  /** Since the agent's start: times that it had bytes for a channel and no credit. */
  credit_stalls: Count.optional(),
  listeners: Count.optional(),
});
export type HeartbeatPayload = z.infer<typeof HeartbeatPayload>;

/** `event`: something that happened, numbered by the journal; sent again until the server acknowledges `seq`. */
export const EventPayload = z.object({
  seq: z.number().int().positive(),
  kind: z.string().regex(/^[a-z][a-z_.]{0,63}$/),
  data: z.record(z.string(), z.unknown()),
});
export type EventPayload = z.infer<typeof EventPayload>;

/** Everything an agent can tell the control plane. */
export const AgentMessage = z.discriminatedUnion('type', [
  envelope('auth', AuthPayload),
  envelope('heartbeat', HeartbeatPayload),
  envelope(
    'telemetry',
    z.object({
      samples: z.array(z.object({ at: z.iso.datetime(), sample: HeartbeatPayload })).max(LIMITS.telemetryItemsMax),
    }),
  ),
  envelope(
    'ack',
    z.union([
      z.object({ command_id: z.uuid(), state: z.literal('started') }),
      z.object({
        ref: z.string().max(64),
        /** After a `config_update`: what the agent does now. */
        applied: LinkConfigUpdate.optional().catch(undefined),
      }),
    ]),
  ),
  envelope('command_response', Outcome),
  envelope('event', EventPayload),
  ErrorMessage,
  DisconnectMessage,
]);
export type AgentMessage = z.infer<typeof AgentMessage>;
