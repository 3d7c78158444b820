import { z } from 'zod';
import { Time } from './common.ts';

/** How a decision ended: the caller was let, was not, or was let and it went wrong. */
export const AuditResult = z.enum(['allowed', 'denied', 'failed']);
export type AuditResult = z.infer<typeof AuditResult>;

/** Facts beside a record: flat, few and short. */
export const AuditFacts = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]));
export type AuditFacts = z.infer<typeof AuditFacts>;

/** SHA-256, in hex. */
const Hash = z.string().regex(/^[0-9a-f]{64}$/, 'expected a SHA-256 in hex');
const Seq = z.number().int().min(1);

/** One record of the audit log: who did what, to what, from where, and how it ended. */
export const AuditRecord = z.object({
  seq: Seq,
  id: z.string(),
  at: Time,
  actor: z.string(),
  actor_name: z.string().nullable(),
  verb: z.string(),
  resource: z.string().nullable(),
  agent_id: z.string().nullable(),
  address: z.string().nullable(),
  request_id: z.string().nullable(),
  result: AuditResult,
  reason: z.string().nullable(),
  details: AuditFacts,
  previous_hash: Hash,
  hash: Hash,
});
export type AuditRecord = z.infer<typeof AuditRecord>;

/** The control plane's signature under the chain up to `seq`; `count` records were new since the checkpoint before. */
export const AuditCheckpoint = z.object({ seq: Seq, hash: Hash, at: Time, count: Seq, signature: z.string() });
export type AuditCheckpoint = z.infer<typeof AuditCheckpoint>;

/** What somebody knows of the chain from elsewhere: record `seq` has this hash. */
export const AuditAnchor = z.object({ seq: Seq, hash: Hash });
export type AuditAnchor = z.infer<typeof AuditAnchor>;

/** An anchor as people write it: `1042:9f86d081…`. */
export const AuditAnchorText = z
  .string()
  .regex(/^[1-9][0-9]{0,15}:[0-9a-f]{64}$/, 'an anchor is <seq>:<SHA-256 in hex>')
  .transform((text): AuditAnchor => {
    const [seq = '', hash = ''] = text.split(':');
    return { seq: Number(seq), hash };
  });

/** What can be wrong with a chain. */
export const AuditProblem = z.object({
  seq: z.number().int(),
  kind: z.enum([
    'edited',
    'removed',
    'inserted',
    'cut_off',
    'rewritten',
    'checkpoint_forged',
    'checkpoint_removed',
    'anchor_unknown',
  ]),
  message: z.string(),
});
export type AuditProblem = z.infer<typeof AuditProblem>;

/** What a walk along the chain found. `problems` are the first ones, `problems_total` says how many there are. */
export const AuditReport = z.object({
  ok: z.boolean(),
  records: z.number().int(),
  checkpoints: z.number().int(),
  first: z.number().int().nullable(),
  last: z.number().int().nullable(),
  last_hash: z.string().nullable(),
  problems: z.array(AuditProblem),
  problems_total: z.number().int(),
});
export type AuditReport = z.infer<typeof AuditReport>;

/** The first line of an export. `newest` is what the file must reach: later records are not in it. */
export const AuditExportHeader = z.object({
  format: z.literal('drawbridge-audit/1'),
  server_id: z.string(),
  public_key: z.string(),
  exported_at: Time,
  newest: AuditCheckpoint.nullable(),
});
export type AuditExportHeader = z.infer<typeof AuditExportHeader>;

/** Every later line of an export: one or the other, in the order of the chain. */
export const AuditExportLine = z.union([
  z.strictObject({ record: z.strictObject(AuditRecord.shape) }),
  z.strictObject({ checkpoint: z.strictObject(AuditCheckpoint.shape) }),
]);
export type AuditExportLine = z.infer<typeof AuditExportLine>;
