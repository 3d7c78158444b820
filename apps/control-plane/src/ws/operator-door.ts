import type { IncomingMessage } from 'node:http';
import type { MessageSocket } from '@drawbridge/link';
import type { Caller } from '../edge/edge.ts';
import type { Actor } from '../operators/actor.ts';
import type { Lease } from '../tunnels/lease.ts';
import type { Dialler, OperatorTunnels } from '../tunnels/operator-tunnels.ts';
import type { OperatorSignIn } from './operator-sign-in.ts';

/** An operator who may have what they ask for. */
export interface Operator {
  readonly actor: Actor;
  readonly lease: Lease;
}

/** Where operators' ends of tunnels come in. */
export class OperatorDoor {
  readonly #signIn: OperatorSignIn;
  readonly #tunnels: OperatorTunnels;

  constructor(signIn: OperatorSignIn, tunnels: OperatorTunnels) {
    this.#signIn = signIn;
    this.#tunnels = tunnels;
  }

  /** Throws ControlError `unauthenticated`, `forbidden`, `tunnel_not_found`, `already_connected` or `rate_limited`. */
  async admit(request: IncomingMessage, caller: Caller, tunnelId: string): Promise<Operator> {
    const actor = await this.#signIn.actorOf(request, caller);
    return { actor, lease: await this.#tunnels.admitOperator(actor, tunnelId) };
  }

  /** Resolves when the leg is closed. */
  serve({ actor, lease }: Operator, leg: MessageSocket, dialler: Dialler): Promise<void> {
    return this.#tunnels.serveOperator(actor, lease, leg, dialler);
  }
}
