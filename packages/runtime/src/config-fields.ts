import { z } from 'zod';
import { LOG_FILES_KEPT, LOG_FILES_KEPT_MAX, LOG_FILE_BYTES_MAX } from './log-file.ts';
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
export const LoggingConfig = z.strictObject({
  level: z.enum(LOG_LEVELS).default('info'),
  /** Gets every line as well as standard error. */
  file: z.string().min(1).optional(),
  /** The file is put aside before it grows over this; 0: never, for those who have a logrotate. */
  max_bytes: z.int().min(0).default(LOG_FILE_BYTES_MAX),
  /** How many files that were put aside are kept. */
  keep: z.int().min(0).max(LOG_FILES_KEPT_MAX).default(LOG_FILES_KEPT),
});

/** How many connections of each domain a machine takes; absent or 0 is unlimited (S3-153..156). */
export const DomainLimits = z.strictObject({
  ps: z.int().min(0).default(1),
  rdp_vnc_webrtc: z.int().min(0).default(1),
  ssh: z.int().min(0).default(0),
  winrm: z.int().min(0).default(0),
});
export type DomainLimits = z.infer<typeof DomainLimits>;
