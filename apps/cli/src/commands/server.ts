import type { Command } from 'commander';
import { connect } from '../access.ts';
import type { AccessOptions } from '../access.ts';
import { saveBackup } from '../backup-file.ts';
import type { SavedBackup } from '../backup-file.ts';
import { addExamples, describeCommand } from '../describe-command.ts';
import { line, note, print } from '../output.ts';
import type { JsonOption } from '../output.ts';

/** `server`: a program of its own, which the launcher starts; `server backup` asks one that runs. */
export function defineServer(group: Command): void {
  group.description('Runs the control plane: see "drawbridge server --help".');
  addExamples(group, ['server --check-config']);
  describeCommand(group.command('backup <file>'), {
    does: 'Saves everything a running control plane holds as one file; "-" is standard output.',
    examples: ['server backup drawbridge.backup', 'server backup - | ssh vault "cat > drawbridge.backup"'],
    json: 'document',
  }).action(backup);
  group.command('restore').description('Puts a backup back: see "drawbridge server restore --help".');
}

async function backup(file: string, options: AccessOptions & JsonOption): Promise<void> {
  const client = await connect(options);
  const saved = await saveBackup(client.takeBackup(), file);
  // Standard output is the archive.
  if (file === '-') note(textOf(saved).trimEnd());
  else print(saved, options, textOf);
}

function textOf({ file, bytes, rows, created_at: createdAt }: SavedBackup): string {
  const where = file === null ? 'written' : `written to ${file}`;
  return (
    line(`${where}: ${rows} rows, ${bytes} bytes, as of ${createdAt}`) +
    line(
      'Keep secret.key and server-identity.json of the data directory too, elsewhere: without them it cannot be restored.',
    )
  );
}
