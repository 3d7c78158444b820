import { Tunnel, WindowBudget } from '@drawbridge/link';
import type { Channel, ChannelOffer } from '@drawbridge/link';
import { FakeClock } from './fake-clock.ts';
import { socketPair } from './socket-pair.ts';
import type { SocketPair, SocketPairOptions } from './socket-pair.ts';

/** How the ends of a tunnel pair behave. */
export interface TunnelPairOptions {
  readonly wires?: SocketPairOptions;
  readonly clock?: FakeClock;
  /** What the agent's end does with an offer; it accepts when nothing is said. */
  readonly accept?: (offer: ChannelOffer) => void;
  readonly agentBudget?: WindowBudget;
}

/** Both ends of a tunnel over a socket pair: the operator's end opens channels, the agent's end accepts them. */
export interface TunnelPair extends AsyncDisposable {
  readonly operator: Tunnel;
  readonly agent: Tunnel;
  readonly clock: FakeClock;
  readonly sockets: SocketPair;
  readonly operatorBudget: WindowBudget;
  readonly agentBudget: WindowBudget;
  /** Opens a channel and gives both of its ends. */
  open(protocol?: string): Promise<{ readonly near: Channel; readonly far: Channel }>;
}

/** A tunnel without a network. Disposing it cuts the wire and waits for both ends. */
export function tunnelPair(options: TunnelPairOptions = {}): TunnelPair {
  const clock = options.clock ?? new FakeClock();
  const sockets = socketPair({ clock, ...options.wires });
  const operatorBudget = new WindowBudget();
  const agentBudget = options.agentBudget ?? new WindowBudget();
  const accepted = new Map<number, Channel>();
  const accept = options.accept ?? ((offer: ChannelOffer) => void accepted.set(offer.id, offer.accept()));
  const operator = new Tunnel({ socket: sockets.a, opens: 'odd', clock, budget: operatorBudget });
  const agent = new Tunnel({ socket: sockets.b, opens: 'even', clock, accept, budget: agentBudget });
  return {
    operator,
    agent,
    clock,
    sockets,
    operatorBudget,
    agentBudget,
    async open(protocol = 'tcp') {
      const near = await operator.open({ protocol });
      const far = accepted.get(near.id);
      if (far === undefined) throw new Error(`channel ${near.id} was accepted elsewhere`);
      return { near, far };
    },
    async [Symbol.asyncDispose]() {
      sockets.cut();
      await Promise.all([operator.ended, agent.ended]);
    },
  };
}
