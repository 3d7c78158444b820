import type { Command } from 'commander';
import { connect } from '../access.ts';
import type { AccessOptions } from '../access.ts';
import { describeCommand } from '../describe-command.ts';

export function defineSsh(command: Command): void {
  describeCommand(command, {
    does: "Runs this machine's own ssh to an agent's machine, through the control plane.",
    examples: ['ssh build-1', 'ssh ann@build-1 -p 2222 uname -a', 'ssh build-1 -N -L 8080:localhost:80'],
    json: 'none',
  })
    .usage('[options] <agent> [ssh args…]')
    .argument('<agent>', 'id or name, or user@ and that')
    .argument('[ssh-args...]', 'more for ssh: its options, and a command to run there')
    .passThroughOptions()
    .addHelpText(
      'after',
      "\nIt connects to sshd on the machine's own 127.0.0.1 (-p names another port). The host key is kept for the agent, whatever its name.",
    )
    .action(async (destination: string, words: readonly string[], options: AccessOptions) => {
      const { user, host } = splitDestination(destination);
      const agent = await (await connect(options)).getAgent(host);
      const { runSsh } = await import('../run-ssh.ts');
      process.exitCode = await runSsh({ agent, user, words, context: options.context });
    });
}

/** `ann@build-1`: the last @ divides, as in ssh. */
function splitDestination(destination: string): { user: string | undefined; host: string } {
  const at = destination.lastIndexOf('@');
  return at === -1
    ? { user: undefined, host: destination }
    : { user: destination.slice(0, at), host: destination.slice(at + 1) };
}
