import { withTimeout } from '@drawbridge/link';
import type { Clock } from '@drawbridge/link';
import { ControlError, LIMITS } from '@drawbridge/protocol';
import type { CommandService } from '../commands/command-service.ts';
import { SYSTEM } from '../operators/actor.ts';
import { authorise } from '../operators/authorise.ts';
import type { CommandRow } from '../store/commands-repository.ts';

/** A tunnel that an agent is to dial. */
export interface DialRequest {
  readonly agentId: string;
  readonly params: {
    readonly tunnel_id: string;
    readonly kind: 'system' | 'operator';
    readonly token: string;
    readonly port?: number;
  };
}

/** How long an agent has to dial, and to say so. */
const TIMEOUT_SECONDS = Math.ceil((LIMITS.dialTimeoutMs + LIMITS.connectTimeoutMs) / 1000);

/**
 * Tells that one agent to dial its end of a tunnel. Resolves once it has, or with `connected` if that comes first; rejects with ControlError: why it
 * did not (the agent's own code in `details.agentCode`), or `agent_offline`.
 */
export async function askToDial<T>(
  { commands, clock }: { readonly commands: CommandService; readonly clock: Clock },
  { agentId, params }: DialRequest,
  connected: Promise<T>,
): Promise<T> {
  authorise(SYSTEM, 'tunnel.open', { kind: 'agent', agentId, labels: {} });
  const command = await commands.create(
    {
      agentId,
      operation: 'tunnel.open',
      params,
      timeoutSeconds: TIMEOUT_SECONDS,
      queueIfOffline: false,
      ttlSeconds: TIMEOUT_SECONDS,
      hasDeadline: true,
    },
    SYSTEM,
  );
  const settled = new AbortController();
  const answered = commands.wait(command.id, settled.signal).then((row) => {
    if (row.state === 'succeeded') return connected;
    throw refusalOf(row);
  });
  try {
    return await withTimeout(
      clock,
      TIMEOUT_SECONDS * 1000,
      Promise.race([connected, answered]),
      () => new ControlError('tunnel_unavailable', `the agent opened no tunnel within ${TIMEOUT_SECONDS} s`),
    );
  } finally {
    settled.abort(new Error('the tunnel is open, or was given up'));
  }
}

function refusalOf({ state, error_code: agentCode, error_message: message }: CommandRow): ControlError {
  return new ControlError('tunnel_unavailable', `the agent opened no tunnel: ${message ?? state}`, {
    details: { agentCode },
  });
}
