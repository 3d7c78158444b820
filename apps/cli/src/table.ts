import { colour, plain } from './output.ts';
import type { Colour } from './output.ts';
import { padTo, truncate, widthOf } from './text-width.ts';

/** One column of a table: its heading, and what it says of a row. */
export interface Column<Row> {
  readonly header: string;
  readonly cell: (row: Row) => string;
  readonly colour?: (row: Row) => Colour | undefined;
  /** Shortened only when nothing else is left: an id that is cut is of no use. */
  readonly isWhole?: boolean;
  /** Left out where the screen is too narrow for all. */
  readonly isExtra?: boolean;
}

const GAP = '  ';
/** A shortened cell says at least this much. */
const WIDTH_MIN = 8;

/**
 * Rows under their headings, each on one line: where the terminal is too narrow, extra columns are left out, then the widest cells
 * are shortened. Cells are made plain here, so that nothing an agent says reaches the terminal as an instruction.
 */
export function table<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  screenColumns: number = process.stdout.columns ?? Infinity,
): string {
  const all = columns.map((column) => measure(column, rows));
  const shown = withoutExtras(all, screenColumns);
  shrink(shown, screenColumns);
  const last = shown.length - 1;
  const fit = (text: string, index: number) => {
    const width = shown[index]?.width ?? 0;
    return index === last ? truncate(text, width) : padTo(truncate(text, width), width);
  };
  const head = shown.map(({ column }, index) => fit(column.header, index)).join(GAP);
  const lines = rows.map((row, at) =>
    shown.map(({ column, cells }, index) => paint(fit(cells[at] ?? '', index), column, row)).join(GAP),
  );
  return [colour('dim', head), ...lines].map((line) => `${line.trimEnd()}\n`).join('');
}

/** What is known of one thing, a line for each fact. Nothing is shortened: whoever asks for one thing wants all of it. */
export function facts(pairs: readonly (readonly [name: string, value: string])[]): string {
  const shown = pairs.filter(([, value]) => value !== '');
  const width = Math.max(0, ...shown.map(([name]) => widthOf(name)));
  return shown.map(([name, value]) => `${colour('dim', padTo(name, width))}${GAP}${plain(value)}\n`).join('');
}

/** A column with what it says, and how wide it is to be. */
interface Measured<Row> {
  readonly column: Column<Row>;
  readonly cells: readonly string[];
  width: number;
}

function measure<Row>(column: Column<Row>, rows: readonly Row[]): Measured<Row> {
  const cells = rows.map((row) => plain(column.cell(row)));
  return { column, cells, width: Math.max(widthOf(column.header), ...cells.map(widthOf)) };
}

/** Leaves out extra columns, the last first, while the rest would not even fit when shortened. */
function withoutExtras<Row>(columns: readonly Measured<Row>[], screenColumns: number): Measured<Row>[] {
  const kept = [...columns];
  const leastWidth = ({ column, width }: Measured<Row>) =>
    column.isWhole === true ? width : Math.min(width, WIDTH_MIN);
  while (lineWidth(kept.map(leastWidth)) > screenColumns) {
    const extra = kept.findLastIndex(({ column }) => column.isExtra === true);
    if (extra === -1) break;
    kept.splice(extra, 1);
  }
  return kept;
}

/** Takes from the widest column until the line fits: from those that may lose something first, from whole ones last. */
function shrink<Row>(columns: readonly Measured<Row>[], screenColumns: number): void {
  const soft = columns.filter(({ column }) => column.isWhole !== true);
  const isTooWide = () => lineWidth(columns.map(({ width }) => width)) > screenColumns;
  while (isTooWide() && takeFromWidest(soft, WIDTH_MIN));
  while (isTooWide() && takeFromWidest(columns, 1));
}

function takeFromWidest<Row>(columns: readonly Measured<Row>[], least: number): boolean {
  const widest = columns.reduce<Measured<Row> | undefined>(
    (found, column) => (found === undefined || column.width > found.width ? column : found),
    undefined,
  );
  if (widest === undefined || widest.width <= least) return false;
  widest.width -= 1;
  return true;
}

function lineWidth(widths: readonly number[]): number {
  return widths.reduce((sum, width) => sum + width, GAP.length * Math.max(0, widths.length - 1));
}

function paint<Row>(text: string, column: Column<Row>, row: Row): string {
  const style = column.colour?.(row);
  return style === undefined ? text : colour(style, text);
}
