import { connect } from 'node:net';
import type { Socket } from 'node:net';
import type { Clock } from '@drawbridge/link';
import { withDeadline } from '@drawbridge/runtime';
import { endpoint } from './ip-address.ts';
import { codeOf, unreachable } from './name-lookup.ts';
import type { DialAddress } from './resolve-target.ts';

/** A connection to a target, and the address that it is to. */
export interface Dialled {
  readonly socket: Socket;
  readonly address: DialAddress;
}

/**
 * Connects to the first address that answers. Each has its share of the time that is left. Rejects with ControlError
 * `target_unreachable`, which says why for each address, or with `signal.reason`.
 */
export async function dialTarget(
  addresses: readonly DialAddress[],
  { clock, timeoutMs }: { clock: Clock; timeoutMs: number },
  signal: AbortSignal,
): Promise<Dialled> {
  const untilMs = clock.monotonic() + timeoutMs;
  const reasons: string[] = [];
  for (const [index, address] of addresses.entries()) {
    const shareMs = Math.max(0, untilMs - clock.monotonic()) / (addresses.length - index);
    const onTimeout = () => new Error(`no answer within ${Math.round(shareMs)} ms`);
    try {
      const deadline = { clock, timeoutMs: shareMs, onTimeout };
      return { socket: await withDeadline(deadline, signal, (limit) => connected(address, limit)), address };
    } catch (error) {
      signal.throwIfAborted();
      reasons.push(
        `${nameOf(address)}: ${error instanceof Error && !('code' in error) ? error.message : codeOf(error)}`,
      );
    }
  }
  throw unreachable(reasons.join('; '));
}

/** An address as messages name it. */
export function nameOf(address: DialAddress): string {
  return 'unix' in address ? `unix:${address.unix}` : endpoint(address.address, address.port);
}

function connected(to: DialAddress, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const where = 'unix' in to ? { path: to.unix } : { host: to.address, port: to.port };
    const socket = connect({ ...where, noDelay: true });
    const aborted = () => {
      socket.destroy();
      reject(signal.reason);
    };
    signal.addEventListener('abort', aborted, { once: true });
    // Stays for good: a socket that nobody reads yet must not take the process down.
    socket.on('error', reject);
    socket.once('close', () => signal.removeEventListener('abort', aborted));
    socket.once('connect', () => {
      signal.removeEventListener('abort', aborted);
      resolve(socket);
    });
  });
}
