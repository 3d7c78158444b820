import { lookup } from 'node:dns/promises';
import { untilAborted } from '@drawbridge/link';
import type { Clock } from '@drawbridge/link';
import { ControlError, LIMITS } from '@drawbridge/protocol';
import { withDeadline } from '@drawbridge/runtime';
import { AGENT_LIMITS } from '../limits.ts';
import { Slots } from '../tasks/slots.ts';

/** Says the addresses of a name, in the order in which they should be tried. */
export type Resolver = (name: string) => Promise<readonly string[]>;

/** Asks as every program of this machine does: its hosts file, then DNS. */
export const systemResolver: Resolver = async (name) => {
  const found = await lookup(name, { all: true, order: 'verbatim' });
  return found.map(({ address }) => address);
};

/** Looks names up, each time anew, within bounds. */
export class NameLookup {
  readonly #resolve: Resolver;
  readonly #clock: Clock;
  readonly #slots = new Slots(AGENT_LIMITS.tunnelLookupsMax, LIMITS.channelsPerTunnelMax);

  constructor(resolve: Resolver, clock: Clock) {
    this.#resolve = resolve;
    this.#clock = clock;
  }

  /** Rejects with ControlError `target_unreachable`, or with `signal.reason`. */
  async addresses(name: string, signal: AbortSignal): Promise<readonly string[]> {
    const timeoutMs = AGENT_LIMITS.tunnelLookupTimeoutMs;
    const onTimeout = () => unreachable(`${name}: no answer to its lookup within ${timeoutMs} ms`);
    const found = await withDeadline({ clock: this.#clock, timeoutMs, onTimeout }, signal, (limit) =>
      this.#ask(name, limit),
    );
    if (found.length === 0) throw unreachable(`${name}: it has no address`);
    return found.slice(0, AGENT_LIMITS.tunnelAddressesMax);
  }

  async #ask(name: string, signal: AbortSignal): Promise<readonly string[]> {
    const slot = await this.#slots.acquire(signal);
    // Nothing calls the system's lookup off: its place is taken until it ends, whoever still waits.
    const answer = this.#resolve(name)
      .catch((error: unknown) => {
        throw unreachable(`${name}: ${codeOf(error)}`, error);
      })
      .finally(() => slot[Symbol.dispose]());
    return await untilAborted(answer, signal);
  }
}

/** What the system calls an error, such as ECONNREFUSED. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error';
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}

/** Nothing answers there, for this reason. */
export function unreachable(message: string, cause?: unknown): ControlError {
  return new ControlError('target_unreachable', message, { cause });
}
