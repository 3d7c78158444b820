import { z } from 'zod';

/** An agent's name: unique on its control plane, safe in a host name and in a list (contract of the API). */
export const AgentName = z
  .string()
  .regex(/^[a-z0-9-]{1,40}$/, 'an agent name is 1 to 40 of a-z, 0-9 and -')
  .refine((name) => !name.includes('--'), 'an agent name has no --');

/** A label's key and value: no separators that a list or a selector could split. */
export const LabelText = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'a label is letters, digits, . _ - (63 at most)');

/** At most 32 labels. */
export const Labels = z
  .record(LabelText, LabelText)
  .refine((labels) => Object.keys(labels).length <= 32, 'an agent has at most 32 labels');
export type Labels = z.infer<typeof Labels>;

/** The name of a provider in `agent.yaml`. */
export const ProviderName = z
  .string()
  .regex(/^[a-z][a-z0-9_-]{0,31}$/, 'a provider name is a-z, 0-9, _ and - (32 at most)');

/** A raw Ed25519 public key, base64url without padding. */
export const PublicKeyText = z.string().regex(/^[A-Za-z0-9_-]{43}$/, 'a public key is 32 bytes in base64url');

/** UTC, ISO 8601 with milliseconds, as `Date.prototype.toISOString` prints it. */
export const Timestamp = z.iso.datetime({ precision: 3 });

/**
 * A machine as one control plane knows it: a SHA-256, base64url, salted with the server_id, so that two control planes cannot
 * tell that they share a machine.
 */
export const MachineId = z.string().regex(/^[A-Za-z0-9_-]{43}$/, 'expected 32 bytes in base64url');
