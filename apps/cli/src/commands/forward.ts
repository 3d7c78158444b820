import type { Command } from 'commander';
import { systemClock } from '@drawbridge/link/clock';
import { clientFor, findAccess } from '../access.ts';
import type { AccessOptions } from '../access.ts';
import { describeCommand } from '../describe-command.ts';
import { parseForward } from '../forward/forward-spec.ts';
import type { JsonOption } from '../output.ts';

type ForwardOptions = AccessOptions & JsonOption;

export function defineForward(command: Command): void {
  describeCommand(command, {
    does: 'Listens on ports of this machine, and carries each connection to a port that the agent can reach.',
    examples: [
      'forward build-1 8080',
      'forward build-1 5433:db.internal:5432 0:127.0.0.1:80',
      'forward build-1 2375:unix:/var/run/docker.sock',
    ],
    json: 'lines',
  })
    .argument('<agent>', 'id or name')
    .argument(
      '<forward...>',
      '[BIND:]PORT:HOST:PORT, [BIND:]PORT:unix:/path, PORT:PORT or PORT; 0 picks a free port here',
    )
    .addHelpText(
      'after',
      '\nOnly this machine can connect, unless another address to BIND is written out (* for all).\nCtrl-C ends it.',
    )
    .action(async (agent: string, specs: readonly string[], options: ForwardOptions) => {
      const forwards = specs.map(parseForward);
      const access = await findAccess(options, process.env);
      const { dialTunnelFor } = await import('../dial-tunnel.ts');
      const { runForward } = await import('../forward/run-forward.ts');
      const client = clientFor(access);
      const dial = dialTunnelFor(access);
      const [only] = forwards;
      // A tunnel that has one target is good for nothing else.
      const target = forwards.length === 1 && only !== undefined ? { target: only.target } : {};
      const request = { agent_id: agent, protocol: 'tcp', ...target } as const;
      await runForward({
        agent,
        forwards,
        json: options.json === true,
        clock: systemClock,
        open: (onStatus, signal) => client.openTunnel(request, { dial, onStatus }, signal),
      });
    });
}
