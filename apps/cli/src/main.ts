import { CommanderError } from 'commander';
import { buildProgram } from './program.ts';

// What is not needed to print help is imported where it is: a command starts at once.

/** `drawbridge help agents` is `drawbridge agents --help`. */
const words = process.argv[2] === 'help' ? [...process.argv.slice(3), '--help'] : process.argv.slice(2);

// Whoever reads us may stop reading: that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

// What a shell asks while somebody types (see complete/scripts.ts). A control plane that does not answer is not waited for.
if (words[0] === '__complete') {
  const { complete } = await import('./complete/complete.ts');
  await complete(words.slice(words[1] === '--' ? 2 : 1));
  process.exit(0);
}

try {
  const program = await buildProgram(words);
  if (words.length === 0) program.outputHelp();
  else await program.parseAsync(words, { from: 'user' });
} catch (error) {
  // Help and the version were asked for, and printed.
  if (!(error instanceof CommanderError && error.exitCode === 0)) {
    const { report } = await import('./report.ts');
    process.exitCode = await report(error, words);
  }
}
