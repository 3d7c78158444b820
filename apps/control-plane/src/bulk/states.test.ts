import { BULK_RUN_STATES, BULK_TARGET_STATES } from '@drawbridge/protocol/api';
import { describe, expect, it } from 'vitest';
import type { StartedTarget } from '../store/bulk-targets-repository.ts';
import { UNFINISHED_RUN_STATES, endOfRun, isRunFinal, runStatesBefore } from './run-state.ts';
import { endOfTarget, isFailure } from './target-state.ts';

const TARGET: StartedTarget = {
  position: 0,
  command_id: 'c1',
  command_state: 'running',
  cancel_requested_at: null,
  command_error_code: null,
  command_error_message: null,
  task_state: null,
  task_error_code: null,
  task_error_message: null,
};

describe('a run', () => {
  it('ends by its state, and by what became of its targets', () => {
    expect(endOfRun('running', true)).toBe('succeeded');
    expect(endOfRun('running', false)).toBe('failed');
    expect(endOfRun('stopping', false)).toBe('stopped');
    expect(endOfRun('cancelling', true)).toBe('cancelled');
  });

  it('may be cancelled until it has ended', () => {
    expect(runStatesBefore('cancelling')).toEqual(['running', 'stopping']);
    expect(BULK_RUN_STATES.filter(isRunFinal)).toEqual(['succeeded', 'failed', 'stopped', 'cancelled']);
    expect(UNFINISHED_RUN_STATES).toEqual(['running', 'stopping', 'cancelling']);
  });
});

describe('a target', () => {
  it.each(['queued', 'delivered', 'running'] as const)('goes on while its command is %s', (state) => {
    expect(endOfTarget({ ...TARGET, command_state: state })).toBeUndefined();
  });

  it('goes on until its task has ended, whatever the command says', () => {
    expect(endOfTarget({ ...TARGET, command_state: 'succeeded', task_state: 'running' })).toBeUndefined();
  });

  it('ends as its task does', () => {
    const task = { task_state: 'failed', task_error_code: 'process_failed', task_error_message: 'exit 3' };
    expect(endOfTarget({ ...TARGET, command_state: 'succeeded', ...task })).toEqual({
      state: 'failed',
      error_code: 'process_failed',
      error_message: 'exit 3',
    });
  });

  it('counts as a failure when something was tried and did not succeed', () => {
    expect(BULK_TARGET_STATES.filter(isFailure)).toEqual([
      'failed',
      'cancelled',
      'expired',
      'timed_out',
      'indeterminate',
    ]);
  });
});
