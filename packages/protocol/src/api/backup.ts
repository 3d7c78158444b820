import { z } from 'zod';
import { Time } from './common.ts';

/** Written into every archive; a higher one is of a newer program. */
export const BACKUP_VERSION = 1;

/** The first line of an archive: whose it is, of when, and what it takes to read it. */
export const BackupHeader = z.object({
  format: z.literal('drawbridge-backup'),
  version: z.number().int().positive(),
  created_at: Time,
  server_id: z.uuid(),
  /** The control plane's public key, base64url. */
  public_key: z.string(),
  /** Tells whether a `secret.key` is the one that sealed what is in here; says nothing about it. */
  key_check: z.string(),
  engine: z.string(),
  /** What the tables look like: the migrations that were run, in order. */
  migrations: z.array(z.string()),
});
export type BackupHeader = z.infer<typeof BackupHeader>;

/** What a column holds. Bytes are base64 under a name that no text can be taken for. */
export const BackupValue = z.union([z.null(), z.number(), z.string(), z.strictObject({ $bytes: z.base64() })]);
export type BackupValue = z.infer<typeof BackupValue>;

/** Every line between the first and the last. */
export const BackupRow = z.strictObject({ table: z.string(), row: z.record(z.string(), BackupValue) });
export type BackupRow = z.infer<typeof BackupRow>;

/** The last line: what there was before it. */
export const BackupTrailer = z.strictObject({
  rows: z.record(z.string(), z.number().int().nonnegative()),
  /** SHA-256 of all lines before, with their ends, in hex. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** The same, under a key derived from the control plane's master key: nobody else can have written it. */
  mac: z.string(),
});
export type BackupTrailer = z.infer<typeof BackupTrailer>;
