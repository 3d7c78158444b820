/** What no statement may say, and why: each would reach past its own savepoint into its neighbours' work. */
const FORBIDDEN: readonly { readonly pattern: RegExp; readonly reason: string }[] = [
  {
    pattern: /^[\s;(]*(begin|commit|end|rollback|savepoint|release)\b/i,
    reason: 'transactions are made with db.transaction()',
  },
  { pattern: /^[\s;(]*(attach|detach|vacuum)\b/i, reason: 'the store is one file, owned by its worker' },
  {
    pattern: /\b(or|on\s+conflict)\s+rollback\b|\braise\s*\(\s*rollback\b/i,
    reason: 'a conflict may only undo its own statement',
  },
  {
    pattern: /\binitially\s+deferred\b|\bdefer_foreign_keys\b/i,
    reason: 'a deferred constraint would fail the commit of every neighbour',
  },
  {
    pattern: /^[\s;(]*pragma\s+(\w+\.)?(journal_mode|synchronous|locking_mode|foreign_keys)\s*[=(]/i,
    reason: 'durability is set when the store opens',
  },
];

/** Throws for SQL that would break the promises of group commit. Called once for each text that is prepared. */
export function assertContained(sql: string): void {
  for (const { pattern, reason } of FORBIDDEN) {
    if (pattern.test(sql)) throw new Error(`refused: ${reason}`);
  }
}
