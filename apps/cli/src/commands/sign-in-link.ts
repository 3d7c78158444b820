import type { Command } from 'commander';
import { connect } from '../access.ts';
import type { AccessOptions } from '../access.ts';
import { describeCommand } from '../describe-command.ts';
import { line, print } from '../output.ts';
import type { JsonOption } from '../output.ts';

export function defineSignInLink(command: Command): void {
  describeCommand(command, {
    does: 'Prints a one-time link that signs a browser in.',
    examples: ['sign-in-link'],
    json: 'document',
  }).action(async (options: JsonOption & AccessOptions) => {
    const url = await (await connect(options)).createSignInLink();
    print({ url }, options, () => line(url));
  });
}
