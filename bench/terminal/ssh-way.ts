import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { SshServer } from '../tunnel/ssh-carrier.ts';
import type { TerminalWay } from './terminal-way.ts';

/** OpenSSH with a terminal at the other end, straight to the machine. */
export function sshWay(server: SshServer): TerminalWay {
  return {
    async open(command) {
      const { program, args } = server.terminal(command);
      const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'ignore'] });
      const exited = once(child, 'exit');
      return {
        output: child.stdout[Symbol.asyncIterator](),
        write: async (bytes) => void child.stdin.write(bytes),
        async [Symbol.asyncDispose]() {
          child.kill();
          await exited;
        },
      };
    },
  };
}
