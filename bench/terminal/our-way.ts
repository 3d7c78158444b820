import { OperatorTunnel, SessionInfo, SessionTerminal } from '@drawbridge/client';
import { LIMITS } from '@drawbridge/protocol';
import { IssuedTunnel, IssuedTunnelToken, TunnelView } from '@drawbridge/protocol/api';
import { dialWebSocket, readTlsFiles } from '@drawbridge/runtime';
import type { TestAgent, TestControlPlane } from '@drawbridge/testkit';
import type { OpenTerminal, TerminalWay } from './terminal-way.ts';

/** A session on the agent, seen by the SDK in this process. */
export function ourWay(plane: TestControlPlane, agent: TestAgent): TerminalWay {
  const openTunnel = () =>
    OperatorTunnel.open(
      { agent_id: agent.agentId, protocol: 'session' },
      {
        api: {
          requestTunnel: async (request) =>
            IssuedTunnel.parse((await plane.api('POST', '/api/tunnel/request', request)).body),
          tunnelToken: async (id) =>
            IssuedTunnelToken.parse((await plane.api('POST', `/api/v1/tunnels/${id}/token`)).body),
          closeTunnel: async (id) => void (await plane.api('DELETE', `/api/tunnel/${id}`)),
          tunnel: async (id) => TunnelView.parse((await plane.api('GET', `/api/v1/tunnels/${id}`)).body),
        },
        dial: (url, subprotocol, signal) =>
          dialWebSocket(
            {
              url,
              subprotocol,
              tls: readTlsFiles({ ca: plane.caFile }),
              headers: { authorization: `Bearer ${plane.token}` },
              timeoutMs: LIMITS.dialTimeoutMs,
              maxPayloadBytes: LIMITS.frameHeaderBytes + LIMITS.framePayloadBytesMax,
            },
            signal,
          ),
      },
    );
  return {
    async open(command): Promise<OpenTerminal> {
      const path = `/api/v1/agents/${agent.agentId}/sessions`;
      const { session_id: id } = SessionInfo.parse((await plane.api('POST', path, { command })).body);
      const terminal = await SessionTerminal.attach(id, openTunnel, {});
      return {
        output: bytesOf(terminal),
        write: (bytes) => terminal.write(bytes),
        async [Symbol.asyncDispose]() {
          await terminal[Symbol.asyncDispose]();
          await plane.api('DELETE', `${path}/${id}`);
        },
      };
    },
  };
}

async function* bytesOf(terminal: SessionTerminal): AsyncGenerator<Uint8Array> {
  for await (const { bytes, lostBytes } of terminal) {
    if (lostBytes > 0) throw new Error(`${lostBytes} bytes are gone`);
    yield bytes;
  }
}
