import { z } from 'zod';
import { LOG_LEVELS } from './logger.ts';
import { Secret } from './secret.ts';

/** A text that is wrapped as soon as it is read. */
export const SecretText = z
  .string()
  .min(1)
  .transform((text) => new Secret(text));

/** A duration of more than nothing. */
export const Seconds = z.number().positive();

/** How many; nothing is not an option. */
export const Count = z.int().positive();

/** A TCP port; 0 lets the system choose. */
export const Port = z.int().min(0).max(65_535);

/** The `logging` section of every program. */
export const LoggingConfig = z.strictObject({ level: z.enum(LOG_LEVELS).default('info'), file: z.string().optional() });

/** How many connections of each domain a machine takes; absent or 0 is unlimited (S3-153..156). */
export const DomainLimits = z.strictObject({
  ps: z.int().min(0).default(1),
  rdp_vnc_webrtc: z.int().min(0).default(1),
  ssh: z.int().min(0).default(0),
  winrm: z.int().min(0).default(0),
});
