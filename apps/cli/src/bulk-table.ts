import type { BulkRunView, BulkTargetView } from '@drawbridge/protocol/api';
import { ExitCode } from './exit-codes.ts';
import { line } from './output.ts';
import type { Colour } from './output.ts';
import { table } from './table.ts';
import type { Column } from './table.ts';

type TargetState = BulkTargetView['state'];

const COLOURS = {
  waiting: 'dim',
  started: 'bold',
  succeeded: 'green',
  failed: 'red',
  cancelled: 'yellow',
  expired: 'red',
  timed_out: 'red',
  indeterminate: 'red',
  refused: 'red',
  skipped: 'yellow',
} as const satisfies Record<TargetState, Colour>;

const COLUMNS: readonly Column<BulkTargetView>[] = [
  { header: 'AGENT', cell: ({ agent_name: name }) => name, isWhole: true },
  { header: 'STATE', cell: ({ state }) => state, colour: ({ state }) => COLOURS[state], isWhole: true },
  { header: 'TASK OR COMMAND', cell: (target) => target.task_id ?? target.command_id ?? '', isWhole: true },
  { header: 'ERROR', cell: ({ error }) => (error === null ? '' : `${error.message} (${error.code})`) },
];

/** What a person looks for first stands first, where there is not room for all. */
const ORDER: readonly TargetState[] = [
  'started',
  'failed',
  'refused',
  'timed_out',
  'indeterminate',
  'expired',
  'cancelled',
  'waiting',
  'skipped',
  'succeeded',
];

/** The targets of a run, a line each, and a line that counts them; at most `linesMax` lines. */
export function bulkTable(
  run: BulkRunView,
  targets: readonly BulkTargetView[],
  linesMax = Number.POSITIVE_INFINITY,
): string {
  // The heading, the counts, and perhaps a line that says what is left out.
  const fits = targets.length + 2 <= linesMax;
  const shown = fits ? targets : inOrder(targets).slice(0, Math.max(0, linesMax - 3));
  const left = targets.length - shown.length;
  return table(COLUMNS, shown) + (left === 0 ? '' : line(`… and ${left} more`)) + line(countsLine(run));
}

/** `running: 3 of 12 ended: 2 succeeded, 1 failed`. */
export function countsLine({ state, targets }: BulkRunView): string {
  const counts = ORDER.toReversed().map((name) => [name, targets[name]] as const);
  const all = counts.reduce((sum, [, count]) => sum + count, 0);
  const ended = all - targets.waiting - targets.started;
  const facts = counts.filter(([name, count]) => count > 0 && name !== 'waiting' && name !== 'started');
  const told = facts.map(([name, count]) => `${count} ${name.replaceAll('_', ' ')}`).join(', ');
  return `${state}: ${ended} of ${all} ended${told === '' ? '' : `: ${told}`}`;
}

/** What the end of a run means for whoever asked for it. */
export function exitCodeOfRun({ state, targets }: BulkRunView): number {
  if (state === 'succeeded') return ExitCode.Ok;
  if (state === 'cancelled') return ExitCode.Interrupted;
  if (targets.failed + targets.refused + targets.cancelled + targets.skipped > 0) return ExitCode.RemoteFailed;
  return targets.indeterminate > 0 ? ExitCode.Indeterminate : ExitCode.TimedOut;
}

function inOrder(targets: readonly BulkTargetView[]): BulkTargetView[] {
  return targets.toSorted((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || a.position - b.position);
}
