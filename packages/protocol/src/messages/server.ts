import { z } from 'zod';
import { LIMITS } from '../limits.ts';
import { envelope } from '../envelope.ts';
import { Traceparent } from '../traceparent.ts';
import { DisconnectMessage, ErrorMessage } from './shared.ts';

/** `hello`: the server proves who it is before the agent says anything. `signature` is base64url, over `helloStatement`. */
export const HelloPayload = z.object({
  server_id: z.uuid(),
  nonce: z.string().min(16).max(128),
  time: z.iso.datetime(),
  version: z.number().int().positive(),
  signature: z.string().max(256),
});
export type HelloPayload = z.infer<typeof HelloPayload>;

/** How often an agent sends a heartbeat, in seconds, wherever that is said. */
export const HeartbeatSeconds = z
  .number()
  .min(LIMITS.heartbeatIntervalMsMin / 1000)
  .max(LIMITS.heartbeatIntervalMsMax / 1000);

/** Settings a server may give; the agent takes what its own file allows. */
export const LinkConfig = z.object({
  heartbeat_interval: HeartbeatSeconds,
  command_timeout: z.number().positive(),
});
export type LinkConfig = z.infer<typeof LinkConfig>;

/** Some of them. */
export const LinkConfigUpdate = LinkConfig.partial();
export type LinkConfigUpdate = z.infer<typeof LinkConfigUpdate>;

export const AuthResponsePayload = z.discriminatedUnion('status', [
  z.object({
    status: z.literal('authenticated'),
    session_id: z.uuid(),
    epoch: z.number().int().positive(),
    config: LinkConfig,
    /** The last event the server has stored under the agent's `journal_id`; with more than the agent has, the journal is an old copy. */
    last_event_seq: z.number().int().nonnegative(),
  }),
  z.object({
    status: z.literal('rejected'),
    code: z.string().max(64),
    message: z.string().max(LIMITS.reasonCharactersMax),
    retryable: z.boolean(),
  }),
]);
export type AuthResponsePayload = z.infer<typeof AuthResponsePayload>;

/** `command`: its `id` is the command's id. `remaining_ms` is how much of its time limit is left. */
export const CommandPayload = z.object({
  operation: z.string().max(64),
  /** Left out when the agent has acknowledged them before: then the message only asks for the outcome. */
  params: z.unknown().optional(),
  remaining_ms: z.number().int().nonnegative(),
  /** The trace it belongs to, for the agent's log. A malformed one is ignored: a trace never stops a command. */
  traceparent: Traceparent.optional().catch(undefined),
});
export type CommandPayload = z.infer<typeof CommandPayload>;

/** Everything the control plane can tell an agent. */
export const ServerMessage = z.discriminatedUnion('type', [
  envelope('hello', HelloPayload),
  envelope('auth_response', AuthResponsePayload),
  envelope('heartbeat', z.object({ time: z.iso.datetime() })),
  envelope('command', CommandPayload),
  envelope('ack', z.union([z.object({ event_seq: z.number().int().positive() }), z.object({ command_id: z.uuid() })])),
  envelope('cancel', z.object({ command_id: z.uuid() })),
  envelope('config_update', LinkConfigUpdate),
  ErrorMessage,
  DisconnectMessage,
]);
export type ServerMessage = z.infer<typeof ServerMessage>;
