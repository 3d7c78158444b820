import { LIMITS } from '@drawbridge/protocol';
import type { Outcome } from '@drawbridge/protocol';
import type { CommandsTable } from '../store/schema.ts';
import type { Updateable } from 'kysely';
import type { CommandState } from './command-state.ts';

type Final = Updateable<CommandsTable> & { readonly state: CommandState };

/** The columns of a command that ended: its content is gone from here on. */
export function finished(outcome: Outcome, now: string): Final {
  const ended = { ended_at: now, content: null, deadline_at: null } as const;
  switch (outcome.status) {
    case 'success':
      return success(outcome.data, ended);
    case 'error':
      return { ...ended, state: 'failed', ...errorColumns(outcome.error) };
    case 'cancelled':
      return { ...ended, state: 'cancelled' };
    case 'indeterminate':
      return { ...ended, state: 'indeterminate', ...errorColumns(outcome.error) };
  }
}

function success(data: unknown, ended: Pick<Final, 'ended_at' | 'content' | 'deadline_at'>): Final {
  const result = JSON.stringify(data ?? null);
  if (result.length <= LIMITS.resultBytesMax) return { ...ended, state: 'succeeded', result };
  const message = `the result is ${result.length} characters, more than ${LIMITS.resultBytesMax}`;
  return { ...ended, state: 'failed', ...errorColumns({ code: 'result_too_large', message }) };
}

function errorColumns(error: { code: string; message: string }) {
  return { error_code: error.code, error_message: error.message };
}
