import type { Command } from 'commander';
import { Option } from 'commander';
import { systemClock } from '@drawbridge/link/clock';
import { TUNNEL_PROTOCOLS, TunnelProtocol } from '@drawbridge/protocol';
import { clientFor, findAccess } from '../access.ts';
import type { AccessOptions } from '../access.ts';
import { describeCommand } from '../describe-command.ts';
import { ExitCode, UsageError } from '../exit-codes.ts';
import { parsePort } from '../forward/forward-spec.ts';

interface ProxyConnectOptions extends AccessOptions {
  readonly protocol: TunnelProtocol;
}

const PROTOCOLS = TunnelProtocol.options.filter((name) => TUNNEL_PROTOCOLS[name].carries === 'tcp');

export function defineProxyConnect(command: Command): void {
  describeCommand(command, {
    does: 'Connects standard input and output to a port that the agent can reach: made for the ProxyCommand of OpenSSH.',
    examples: ['proxy-connect build-1 127.0.0.1 22'],
    json: 'none',
  })
    .argument('<agent>', 'id or name')
    .argument('<host>', 'as the agent sees it')
    .argument('<port>', 'to connect to')
    .addHelpText(
      'after',
      '\nIn ~/.ssh/config, for hosts that are agents: ProxyCommand drawbridge proxy-connect %h 127.0.0.1 %p',
    )
    .addOption(new Option('--protocol <protocol>', 'what the tunnel is counted as').choices(PROTOCOLS).default('tcp'))
    .action(async (agent: string, host: string, port: string, options: ProxyConnectOptions) => {
      if (host === '') throw new UsageError('the host is empty');
      const target = { host, port: parsePort(port) };
      const access = await findAccess(options, process.env);
      const { dialTunnelFor } = await import('../dial-tunnel.ts');
      const { connectStdio } = await import('../connect-stdio.ts');
      const client = clientFor(access);
      const request = { agent_id: agent, protocol: options.protocol, target };
      const dial = dialTunnelFor(access);
      const open = (signal: AbortSignal) => client.openTunnel(request, { dial }, signal);
      // Whoever started it, ssh for one, ends it with a signal: that is no news.
      if (!(await connectStdio({ open, target, clock: systemClock }))) process.exitCode = ExitCode.Interrupted;
    });
}
