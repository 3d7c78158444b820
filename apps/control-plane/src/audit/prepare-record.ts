import { canonicalJson } from '@drawbridge/protocol';
import type { AuditFacts, AuditRecord } from '@drawbridge/protocol/api';
import { redact } from '@drawbridge/runtime';
import { AUDIT_DETAIL_KEYS } from './audit-details.ts';
import type { AuditEntry } from './audit-entry.ts';

/** A record before it has its place in the chain. */
export type UnchainedRecord = Omit<AuditRecord, 'seq' | 'previous_hash' | 'hash'>;

/** What is stored in place of text that looks like a credential. */
export const REFUSED = '[refused: looks like a secret]';

/** Characters, as the columns have room for them. */
const CHARACTERS_MAX = {
  actor: 255,
  actor_name: 255,
  verb: 64,
  resource: 255,
  agent_id: 255,
  address: 64,
  request_id: 64,
  reason: 500,
} as const satisfies Partial<Record<keyof AuditRecord, number>>;
const DETAIL_CHARACTERS_MAX = 200;
/** All details of a record, as canonical JSON. */
const DETAILS_CHARACTERS_MAX = 2_048;

/** Our own tokens, of any kind there may be one day. */
const OUR_TOKEN = /db[a-z]_[\w.~+/=-]{8,}/i;
/** 32 random bytes in base64url, as all our secrets are: session tokens and codes of sign-in links have no prefix. */
const RANDOM_BYTES = /(?<![\w-])[\w-]{43}(?![\w-])/;

/**
 * Bounds what an entry says and keeps out what a record must never hold: details that are not on the list, values that are not
 * scalars, and text that looks like a credential. The record says so where something was refused or left out.
 */
export function prepareRecord(entry: AuditEntry, id: string, at: string): UnchainedRecord {
  return {
    id,
    at,
    actor: text(entry.actor, CHARACTERS_MAX.actor),
    actor_name: optional(entry.actorName, CHARACTERS_MAX.actor_name),
    verb: text(entry.verb, CHARACTERS_MAX.verb),
    resource: optional(entry.resource, CHARACTERS_MAX.resource),
    agent_id: optional(entry.agentId, CHARACTERS_MAX.agent_id),
    address: optional(entry.address, CHARACTERS_MAX.address),
    request_id: optional(entry.requestId, CHARACTERS_MAX.request_id),
    result: entry.result,
    reason: optional(entry.reason, CHARACTERS_MAX.reason),
    details: preparedDetails(entry.details),
  };
}

/** Details left out are counted under `left_out`. */
function preparedDetails(details: AuditEntry['details']): AuditFacts {
  const kept: AuditFacts = {};
  let leftOut = Object.keys(details).length;
  let characters = 0;
  for (const key of AUDIT_DETAIL_KEYS) {
    // Types end where a caller casts: what comes is looked at as if it came from outside.
    const value = scalar(Object.hasOwn(details, key) ? details[key] : undefined);
    if (value === undefined) continue;
    characters += canonicalJson({ [key]: value }).length;
    if (characters > DETAILS_CHARACTERS_MAX) break;
    kept[key] = value;
    leftOut -= 1;
  }
  if (leftOut > 0) kept['left_out'] = leftOut;
  return kept;
}

function scalar(value: unknown): AuditFacts[string] | undefined {
  if (typeof value === 'string') return text(value, DETAIL_CHARACTERS_MAX);
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  return typeof value === 'boolean' || value === null ? value : undefined;
}

function optional(value: string | null, charactersMax: number): string | null {
  return value === null ? null : text(value, charactersMax);
}

/** Looked at whole, then cut: half a token is still a secret. PostgreSQL stores no U+0000, and UTF-8 no half a pair. */
function text(value: string, charactersMax: number): string {
  if (looksSecret(value)) return REFUSED;
  const clean = value.replaceAll('\u0000', '\ufffd').toWellFormed();
  return clean.length <= charactersMax ? clean : `${clean.slice(0, charactersMax - 1).toWellFormed()}…`;
}

/** Whether a record would leave this text out. What is known by its name alone must not be called so. */
export function looksSecret(value: string): boolean {
  return OUR_TOKEN.test(value) || RANDOM_BYTES.test(value) || redact(value) !== value;
}
