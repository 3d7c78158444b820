import { randomUUID } from 'node:crypto';
import { FakeClock } from '@drawbridge/testkit';
import { memoryLog } from '@drawbridge/runtime/testing';
import type { MemoryLog } from '@drawbridge/runtime/testing';
import { DeviceKey } from '../identity/identity.ts';
import { AgentTunnels } from './agent-tunnels.ts';
import type { AgentTunnelsOptions, WantedLeg } from './agent-tunnels.ts';
import { TunnelServer } from './tunnel-server-fixture.ts';

const AGENT_ID = randomUUID();

/** For tests: an agent's tunnels, and the control plane that asks for them. */
export class TunnelsWorld implements AsyncDisposable {
  readonly agentId = AGENT_ID;
  readonly clock: FakeClock;
  readonly server: TunnelServer;
  readonly tunnels: AgentTunnels;
  readonly said: MemoryLog;

  private constructor(clock: FakeClock, server: TunnelServer, options: Partial<AgentTunnelsOptions>) {
    this.clock = clock;
    this.server = server;
    this.said = memoryLog();
    this.tunnels = new AgentTunnels({
      access: {
        url: `http://127.0.0.1:${server.port}`,
        agentId: AGENT_ID,
        credential: { kind: 'device-key', key: DeviceKey.generate() },
        serverKey: server.key.publicKey,
        tls: {},
        proxy: undefined,
        noProxy: undefined,
      },
      clock,
      log: this.said.log,
      serverNowMs: () => clock.now(),
      channels: {},
      isAllowed: () => true,
      domains: { ps: 1, rdp_vnc_webrtc: 1, ssh: 0, winrm: 0 },
      ...options,
    });
  }

  static async make(options: Partial<AgentTunnelsOptions> = {}): Promise<TunnelsWorld> {
    const clock = new FakeClock();
    return new TunnelsWorld(clock, await TunnelServer.start(clock), options);
  }

  /** Asks for a tunnel as the control plane does: with a fresh token each time. */
  async open(tunnelId: string, protocol = 'tcp', more: Partial<WantedLeg> = {}): Promise<void> {
    const token = await this.server.token(AGENT_ID, tunnelId, { protocol, domain: protocol });
    await this.tunnels.open({ tunnelId, kind: 'operator', token, ...more }, new AbortController().signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const disposed = this.tunnels[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
    await disposed;
  }
}
