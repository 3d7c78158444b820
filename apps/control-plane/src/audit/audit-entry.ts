import type { AuditResult } from '@drawbridge/protocol/api';
import type { AuditDetails } from './audit-details.ts';

/** A decision that matters, as its maker tells it: who did what, to what, from where, and how it ended. */
export interface AuditEntry {
  /** `kind:id`. */
  readonly actor: string;
  /** A name that is known to be somebody's: never what a stranger has typed. */
  readonly actorName: string | null;
  readonly verb: string;
  /** `agent:<id>`, `task:<id>`; null for the control plane itself. */
  readonly resource: string | null;
  /** The agent it is about, if any: what a list is narrowed to. */
  readonly agentId: string | null;
  readonly address: string | null;
  readonly requestId: string | null;
  readonly result: AuditResult;
  /** Why it was not allowed, or ended as it did. */
  readonly reason: string | null;
  readonly details: AuditDetails;
}
