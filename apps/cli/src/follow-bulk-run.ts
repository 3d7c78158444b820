import type { DrawbridgeClient } from '@drawbridge/client';
import type { BulkRunView, BulkTargetView } from '@drawbridge/protocol/api';
import { bulkTable, countsLine, exitCodeOfRun } from './bulk-table.ts';
import { line, note, printJson } from './output.ts';
import { patience } from './patience.ts';
import { padTo } from './text-width.ts';

/** The width a name is given where each change is a line of its own. */
const NAME_COLUMNS = 40;
const CLEAR_BELOW = '\u001b[J';

/** Shows a run until it has ended: a live table on a terminal, else a line for each end, or JSON. Resolves to the exit code. */
export async function followBulkRun(
  client: DrawbridgeClient,
  run: BulkRunView,
  { json }: { readonly json: boolean },
  signal: AbortSignal,
): Promise<number> {
  const show = json ? jsonLines() : process.stdout.isTTY ? liveTable() : plainLines();
  let last = run;
  if (json) printJson({ type: 'run', run });
  for await (const now of client.bulkRuns.follow(run.id, { retry: patience() }, signal)) {
    last = now.run;
    show(now.run, now.targets);
  }
  if (json) printJson({ type: 'outcome', run: last });
  else if (!process.stdout.isTTY) note(countsLine(last));
  return exitCodeOfRun(last);
}

type Show = (run: BulkRunView, targets: readonly BulkTargetView[]) => void;

/** One line for each target whose state is new. */
function jsonLines(): Show {
  return changes((target) => printJson({ type: 'target', target }));
}

function plainLines(): Show {
  return changes((target) => {
    if (target.ended_at === null) return;
    const why = target.error === null ? '' : `   ${target.error.message} (${target.error.code})`;
    process.stdout.write(line(`${padTo(target.agent_name, NAME_COLUMNS)} ${target.state}${why}`));
  });
}

function changes(tell: (target: BulkTargetView) => void): Show {
  const known = new Map<number, string>();
  return (_run, targets) => {
    for (const target of targets) {
      if (known.get(target.position) === target.state) continue;
      known.set(target.position, target.state);
      tell(target);
    }
  };
}

/** Draws over what it drew before. While the run goes on it is no higher than the screen; at the end it is whole. */
function liveTable(): Show {
  let height = 0;
  return (run, targets) => {
    const linesMax = run.ended_at === null ? process.stdout.rows - 1 : undefined;
    const text = bulkTable(run, targets, linesMax);
    process.stdout.write(`${height === 0 ? '' : `\u001b[${height}A`}${CLEAR_BELOW}${text}`);
    height = text.split('\n').length - 1;
  };
}
