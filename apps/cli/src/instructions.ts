import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { UsageError } from './exit-codes.ts';

/** What to do: as given, from a file, or from standard input for `-`. */
export async function readInstructions(given: string | undefined, file: string | undefined): Promise<string> {
  if (given !== undefined && file !== undefined) throw new UsageError('give instructions or --file, not both');
  if (file !== undefined) return readFile(file, 'utf8');
  if (given === '-') return text(process.stdin);
  if (given === undefined) throw new UsageError('no instructions: give a text, --file FILE, or - for standard input');
  return given;
}
