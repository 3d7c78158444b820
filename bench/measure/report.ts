import { loadavg } from 'node:os';

/** One number, and the number it is compared with, taken in the same run. */
export interface Figure {
  readonly bench: string;
  /** What was measured, unit last. */
  readonly figure: string;
  /** How many agents, tasks or callers it was measured with. */
  readonly size: number;
  readonly value: number;
  readonly reference: number;
  /** What the reference is. */
  readonly against: string;
  /** What we want to stay within: below, where less is better, or above. */
  readonly aim?: { readonly ratioMin?: number; readonly ratioMax?: number; readonly valueMax?: number };
}

/** Others that use this machine spoil a figure: every line says how busy it was when the bench began. */
const busyAtStart = round(loadavg()[0] ?? 0);

/** Prints the figure as one line of JSON. A figure without a finite ratio is a bug of the bench. */
export function report({ aim, ...figure }: Figure): void {
  const ratio = figure.value / figure.reference;
  if (!Number.isFinite(ratio)) throw new Error(`${figure.figure}: ${figure.value} / ${figure.reference} is no ratio`);
  const line = {
    ...figure,
    value: round(figure.value),
    reference: round(figure.reference),
    ratio: round(ratio),
    ...(aim === undefined ? {} : { aim, met: isMet(aim, figure.value, ratio) }),
    load_average_at_start: busyAtStart,
  };
  console.log(JSON.stringify(line));
}

function isMet(aim: NonNullable<Figure['aim']>, value: number, ratio: number): boolean {
  const { ratioMin = 0, ratioMax = Infinity, valueMax = Infinity } = aim;
  return ratio >= ratioMin && ratio <= ratioMax && value <= valueMax;
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}
