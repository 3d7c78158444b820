import { z } from 'zod';
import { LIMITS } from '../limits.ts';
import { envelope } from '../envelope.ts';

/** `error`, sent by both sides: what was wrong with the message `ref`. */
export const ErrorMessage = envelope(
  'error',
  z.object({
    code: z.string().max(64),
    message: z.string().max(LIMITS.reasonCharactersMax),
    ref: z.string().max(64).optional(),
  }),
);

/** `disconnect`, sent by both sides before a close 1000. */
export const DisconnectMessage = envelope(
  'disconnect',
  z.object({
    reason: z.string().max(LIMITS.reasonCharactersMax),
    reconnect_after_ms: z
      .number()
      .int()
      .nonnegative()
      .max(24 * 3_600_000)
      .optional(),
  }),
);

/** How a command ended, as its `command_response` says it. */
export const Outcome = z.discriminatedUnion('status', [
  z.object({ status: z.literal('success'), data: z.unknown() }),
  z.object({
    status: z.literal('error'),
    error: z.object({ code: z.string().max(64), message: z.string().max(LIMITS.reasonCharactersMax) }),
  }),
  z.object({ status: z.literal('cancelled') }),
  z.object({
    status: z.literal('indeterminate'),
    error: z.object({ code: z.string().max(64), message: z.string().max(LIMITS.reasonCharactersMax) }),
  }),
]);
export type Outcome = z.infer<typeof Outcome>;
