import { systemClock, withTimeout } from '@drawbridge/link/clock';
import { plain } from '../output.ts';
import { buildProgram } from '../program.ts';
import { FILES, candidatesFor } from './candidates.ts';
import type { Candidate, DynamicSource } from './candidates.ts';

/** Whoever presses Tab does not wait longer: then there are no candidates. */
const ANSWER_MS = 1_000;

/** Prints what may stand in place of the last word: quickly, or nothing; never an error. */
export async function complete(words: readonly string[]): Promise<void> {
  try {
    const program = await buildProgram(words.slice(0, -1));
    const answer = candidatesFor(program, words, dynamic);
    const found = await withTimeout(systemClock, ANSWER_MS, answer, () => new Error('too late'));
    process.stdout.write(found === FILES ? `${FILES}\n` : found.map(lineOf).join(''));
  } catch {
    // Nobody asked for a message: there is nothing to complete.
  }
}

/** Read only when the words themselves do not say it: most completions ask no control plane. */
const dynamic: DynamicSource = async (question) => (await import('./sources.ts')).dynamicCandidates(question);

function lineOf({ word, about }: Candidate): string {
  return `${plain(word)}\t${plain(about)}\n`;
}
