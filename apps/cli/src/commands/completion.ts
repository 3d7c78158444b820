import { Argument } from 'commander';
import type { Command } from 'commander';
import { COMPLETION_SCRIPTS, SHELLS } from '../complete/scripts.ts';
import type { Shell } from '../complete/scripts.ts';
import { describeCommand } from '../describe-command.ts';

export function defineCompletion(command: Command): void {
  describeCommand(command, {
    does: 'Prints a script that completes commands, options, and names of agents, tasks and contexts.',
    examples: [
      'source <(drawbridge completion bash)',
      'drawbridge completion zsh > "${fpath[1]}/_drawbridge"',
      'drawbridge completion fish > ~/.config/fish/completions/drawbridge.fish',
    ],
    json: 'none',
    isRemote: false,
  })
    .addArgument(new Argument('<shell>', 'your shell').choices(SHELLS))
    .action((shell: Shell) => {
      process.stdout.write(COMPLETION_SCRIPTS[shell]);
    });
}
