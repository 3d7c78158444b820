import { z } from 'zod';
import { operation } from './operation.ts';

const Nothing = z.strictObject({});

export const agentPing = operation({
  effect: 'read',
  params: z.strictObject({ echo: z.string().max(1024).optional() }),
  result: z.object({ echo: z.string().optional(), time: z.iso.datetime() }),
  content: false,
});

/** What an agent is and what it lets others do. Every string in it is the agent's word: untrusted. */
export const AgentInfo = z.object({
  version: z.string().max(64),
  os: z.string().max(128),
  arch: z.string().max(32),
  hostname: z.string().max(255),
  node: z.string().max(32),
  pid: z.number().int(),
  started_at: z.iso.datetime(),
  capabilities: z.array(z.string().max(64)).max(64),
  operations: z.array(z.string().max(64)).max(256),
  providers: z
    .array(
      z.object({
        name: z.string().max(32),
        available: z.boolean(),
        reason: z.string().max(300).optional(),
        actions: z.array(z.string().max(64)).max(32),
      }),
    )
    .max(64),
  listeners: z.number().int().nonnegative(),
});
export type AgentInfo = z.infer<typeof AgentInfo>;

export const agentInfo = operation({ effect: 'read', params: Nothing, result: AgentInfo, content: false });

/** The agent's effective settings, secrets left out. */
export const configGet = operation({
  effect: 'read',
  params: Nothing,
  result: z.record(z.string(), z.unknown()),
  content: false,
});
