import type { Kysely } from 'kysely';
import { withTimeout } from '@drawbridge/link';
import type { Clock } from '@drawbridge/link';
import { pendingMigrations } from '../store/migrator.ts';
import type { Migration } from '../store/migrator.ts';
import type { Schema } from '../store/schema.ts';

/** A store that takes longer to answer serves nobody. */
const STORE_TIMEOUT_MS = 2_000;

/** What was looked at before the control plane says that it can serve, and what was found. */
export interface Readiness {
  readonly isReady: boolean;
  readonly checks: {
    readonly store: 'ok' | 'failed';
    readonly migrations: 'ok' | 'pending' | 'unknown';
    readonly draining: boolean;
  };
}

export interface ReadinessOptions {
  readonly db: Kysely<Schema>;
  readonly migrations: readonly Migration[];
  readonly clock: Clock;
  readonly isDraining: () => boolean;
}

/** Whether the control plane can serve now: its store answers, its schema is whole, and it does not drain. Never throws. */
export async function checkReadiness({ db, migrations, clock, isDraining }: ReadinessOptions): Promise<Readiness> {
  const draining = isDraining();
  try {
    const late = () => new Error('the store does not answer');
    const pending = await withTimeout(clock, STORE_TIMEOUT_MS, pendingMigrations(db, migrations), late);
    const isWhole = pending.length === 0;
    const checks = { store: 'ok', migrations: isWhole ? 'ok' : 'pending', draining } as const;
    return { isReady: isWhole && !draining, checks };
  } catch {
    // Why is in the log of whoever needed the store; here it would be told to strangers.
    return { isReady: false, checks: { store: 'failed', migrations: 'unknown', draining } };
  }
}
