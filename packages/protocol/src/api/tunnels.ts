import { z } from 'zod';
import { TunnelProtocol, TunnelTarget } from '../tunnel-protocols.ts';
import { Time } from './common.ts';

/** `closed`: somebody ended it; `expired`: nobody used it, or an end stayed away too long. */
export const LEASE_STATES = ['pending', 'active', 'grace', 'closing', 'closed', 'expired'] as const;
export const LeaseState = z.enum(LEASE_STATES);
export type LeaseState = z.infer<typeof LeaseState>;

/** As `TunnelTarget`, for who reads it: a newer control plane may say more. */
const ShownTarget = z.union([z.object({ host: z.string(), port: z.number() }), z.object({ unix: z.string() })]);

/**
 * A tunnel through an agent. `operator` ones are leases that somebody asked for; `system` is the one the control plane itself
 * uses, for what tasks wrote: it has no protocol, port, owner or timers.
 */
export const TunnelView = z.object({
  tunnel_id: z.string(),
  agent_id: z.string(),
  kind: z.enum(['system', 'operator']),
  state: z.union([LeaseState, z.enum(['opening', 'open'])]),
  channels: z.number(),
  created_at: Time,
  protocol: z.string().nullable(),
  domain: z.string().nullable(),
  port: z.number().nullable(),
  target: ShownTarget.nullable(),
  /** As it was given with the request. */
  metadata: z.record(z.string(), z.string()),
  /** Who asked for it: an actor such as `user:<id>`. */
  operator_id: z.string().nullable(),
  operator_name: z.string().nullable(),
  /** Which ends are connected now. */
  legs: z.object({ operator: z.boolean(), agent: z.boolean() }),
  idle_seconds: z.number().nullable(),
  grace_seconds: z.number().nullable(),
  last_activity_at: Time.nullable(),
  /** When it ends unless something happens: the end of idleness, of grace, or of waiting for both ends. */
  expires_at: Time.nullable(),
  bytes: z.object({ up: z.number(), down: z.number() }),
  ended_at: Time.nullable(),
  close_code: z.number().nullable(),
  close_reason: z.string().nullable(),
});
export type TunnelView = z.infer<typeof TunnelView>;

/** The body of POST /api/tunnel/request. `agent_id` may be an agent's name. */
export const TunnelRequest = z.strictObject({
  agent_id: z.string().min(1).max(64),
  protocol: TunnelProtocol,
  /** The protocol's own; named by those who are used to. */
  domain: z.string().max(32).optional(),
  /** The only place its channels may lead to. */
  target: TunnelTarget.optional(),
  /** Shown with the tunnel, never interpreted. */
  metadata: z.record(z.string().max(64), z.string().max(256)).optional(),
});
export type TunnelRequest = z.infer<typeof TunnelRequest>;

/** A lease as its operator gets it. `token` is for CONNECT: one use, and until `token_expires_at`. */
export const IssuedTunnel = z.object({
  tunnel_id: z.string(),
  agent_id: z.string(),
  port: z.number(),
  token: z.string(),
  token_expires_at: Time,
  protocol: z.string(),
  domain: z.string(),
  idle_seconds: z.number(),
  grace_seconds: z.number(),
  expires_at: Time,
  /** Where the operator's end is dialled. */
  operator_url: z.string(),
  state: LeaseState,
});
export type IssuedTunnel = z.infer<typeof IssuedTunnel>;

/** A fresh token for the operator's end of a lease that is not over. */
export const IssuedTunnelToken = z.object({
  tunnel_id: z.string(),
  port: z.number(),
  token: z.string(),
  token_expires_at: Time,
  operator_url: z.string(),
});
export type IssuedTunnelToken = z.infer<typeof IssuedTunnelToken>;
