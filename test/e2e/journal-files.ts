import { copyFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** What a running agent's journal says of tasks that ended, read from a copy: the agent itself lets nobody in. */
export function outcomesIn(dataDir: string): { task_id?: string }[] {
  const copy = join(dataDir, 'journal-copy');
  mkdirSync(copy, { recursive: true });
  try {
    copyJournal(dataDir, copy);
    using db = new DatabaseSync(join(copy, 'journal.db'));
    const rows = db.prepare("SELECT outcome FROM commands WHERE state = 'ended' AND outcome IS NOT NULL").all();
    return rows.map(({ outcome }) => JSON.parse(String(outcome)).data ?? {});
  } finally {
    rmSync(copy, { recursive: true });
  }
}

function journalFiles(dir: string): string[] {
  return readdirSync(dir).filter((file) => file.startsWith('journal.db'));
}

/** Copies the journal with the files that belong to it. */
export function copyJournal(from: string, to: string): void {
  for (const file of journalFiles(from)) copyFileSync(join(from, file), join(to, file));
}

/** Removes the journal with the files that belong to it. */
export function removeJournal(dir: string): void {
  for (const file of journalFiles(dir)) rmSync(join(dir, file));
}
