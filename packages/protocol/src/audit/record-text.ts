import type { AuditRecord } from '../api/audit.ts';
import { canonicalJson } from './canonical-json.ts';

/** The previous hash of the first record. */
export const GENESIS_HASH = '0'.repeat(64);

/**
 * The text whose SHA-256, in hex, is a record's hash: a line that says what it is, the previous record's hash, and the canonical
 * JSON of every field but the two hashes (SECURITY.md, "The audit log").
 */
export function auditRecordText(record: Omit<AuditRecord, 'hash'>): string {
  const { seq, id, at, actor, actor_name, verb, resource, agent_id, address, request_id, result, reason, details } =
    record;
  const content = {
    seq,
    id,
    at,
    actor,
    actor_name,
    verb,
    resource,
    agent_id,
    address,
    request_id,
    result,
    reason,
    details,
  };
  return `drawbridge audit v1\n${record.previous_hash}\n${canonicalJson(content)}`;
}
