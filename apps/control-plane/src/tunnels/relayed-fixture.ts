import { randomUUID } from 'node:crypto';
import { Tunnel, WindowBudget } from '@drawbridge/link';
import type { Channel, ChannelOffer, SocketEnd, Timer } from '@drawbridge/link';
import { CloseReason } from '@drawbridge/protocol';
import type { ClosePayload } from '@drawbridge/protocol';
import { FakeClock, socketPair } from '@drawbridge/testkit';
import type { SocketPair, SocketPairOptions } from '@drawbridge/testkit';
import { Relay } from './relay.ts';
import type { RelayOptions, Side } from './relay.ts';

/** For tests: how the parts of a relayed tunnel behave. */
export interface RelayedOptions {
  readonly refusal?: RelayOptions['refusal'];
  readonly accept?: (offer: ChannelOffer) => void;
  readonly graceMs?: number;
  /** The network of each new leg; `a` is the relay's end. */
  readonly wires?: (side: Side) => SocketPairOptions;
  /** How long the store takes to raise the epoch. */
  readonly epochDelayMs?: number;
}

/** For tests: a process at one end of a tunnel. */
interface EndProcess {
  tunnel: Tunnel;
  instance: string;
  budget: WindowBudget;
}

/** For tests: both ends of a tunnel and a relay between them, whose legs can be cut, and whose processes can be lost. */
export class RelayedFixture implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly ended: { by: Side; end: ClosePayload }[] = [];
  readonly lost: { side: Side; end: SocketEnd }[] = [];
  readonly opened: { side: Side; protocol: string }[] = [];
  readonly counts = { resumed: 0, resentBytes: 0, held: 0, activity: 0 };
  readonly accepted = new Map<number, Channel>();
  relay: Relay;
  readonly ends: Record<Side, EndProcess>;
  readonly #options: RelayedOptions;
  readonly #pairs: Record<Side, SocketPair | undefined> = { operator: undefined, agent: undefined };
  readonly #old: Tunnel[] = [];
  /** Legs that were superseded, and may still deliver. */
  readonly #stale: SocketPair[] = [];
  /** Ends that were let in, and do not know it yet. */
  readonly #answers = new Map<Side, { timer: Timer; pair: SocketPair }>();
  /** What the store keeps: it survives the relay. */
  #epoch = 0;

  constructor(options: RelayedOptions = {}) {
    this.#options = options;
    this.relay = this.#makeRelay();
    this.ends = { operator: this.#makeEnd('operator'), agent: this.#makeEnd('agent') };
  }

  get operator(): Tunnel {
    return this.ends.operator.tunnel;
  }

  get agent(): Tunnel {
    return this.ends.agent.tunnel;
  }

  /** Both ends connected. */
  static connected(options?: RelayedOptions): RelayedFixture {
    const made = new RelayedFixture(options);
    made.connect('operator');
    made.connect('agent');
    return made;
  }

  /** This end has a new leg. */
  connect(side: Side): SocketPair {
    const pair = socketPair({ clock: this.clock, ...this.#options.wires?.(side) });
    this.#pairs[side]?.cut();
    this.#pairs[side] = pair;
    void this.relay.attach(side, pair.a, this.ends[side].instance);
    this.ends[side].tunnel.attach(pair.b);
    return pair;
  }

  /** This end dials anew: the relay has its leg at once, the end `lagMs` later; until then it lives with the one before. */
  dial(side: Side, wire: SocketPairOptions = {}, lagMs = 0): SocketPair {
    this.#dropAnswer(side);
    const pair = socketPair({ clock: this.clock, ...wire });
    const old = this.#pairs[side];
    if (old !== undefined) this.#stale.push(old);
    this.#pairs[side] = pair;
    const { tunnel, instance } = this.ends[side];
    void this.relay.attach(side, pair.a, instance);
    const answer = () => {
      this.#answers.delete(side);
      tunnel.attach(pair.b);
    };
    if (lagMs === 0) answer();
    else this.#answers.set(side, { pair, timer: this.clock.after(lagMs, answer) });
    return pair;
  }

  /** The network between the relay and this end breaks. */
  cut(side: Side): void {
    this.#dropAnswer(side);
    this.#pairs[side]?.cut();
    this.#pairs[side] = undefined;
  }

  /** Both the relay and the end have this leg. */
  isConnected(side: Side): boolean {
    return this.relay.has(side) && !this.#answers.has(side);
  }

  pair(side: Side): SocketPair | undefined {
    return this.#pairs[side];
  }

  /** The control plane ends without a word, and another begins: it knows what the store knows. */
  restartRelay(): void {
    this.#cutAll();
    this.relay = this.#makeRelay();
  }

  /** The process at this end is gone, and another begins. */
  restartEnd(side: Side): void {
    this.cut(side);
    this.#old.push(this.ends[side].tunnel);
    this.ends[side].tunnel.close(CloseReason.Cancelled, 'killed');
    this.ends[side] = this.#makeEnd(side);
    if (side === 'agent') this.accepted.clear();
  }

  /** Accepts a channel, so that `open` finds it. */
  keep(offer: ChannelOffer): void {
    this.accepted.set(offer.id, offer.accept());
  }

  /** Opens a channel and gives both of its ends; the default `accept` is in place. */
  async open(protocol = 'tcp'): Promise<{ near: Channel; far: Channel }> {
    const near = await this.operator.open({ protocol });
    const far = this.accepted.get(near.id);
    if (far === undefined) throw new Error(`channel ${near.id} was accepted elsewhere`);
    return { near, far };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const tunnels = [this.operator, this.agent, ...this.#old];
    for (const tunnel of tunnels) tunnel.close(CloseReason.Cancelled, 'the test is over');
    this.#cutAll();
    await Promise.all(tunnels.map((tunnel) => tunnel.ended));
  }

  #cutAll(): void {
    for (const pair of this.#stale.splice(0)) pair.cut();
    this.cut('operator');
    this.cut('agent');
  }

  #dropAnswer(side: Side): void {
    const answer = this.#answers.get(side);
    answer?.timer.cancel();
    answer?.pair.cut();
    this.#answers.delete(side);
  }

  #makeEnd(side: Side): EndProcess {
    const budget = new WindowBudget();
    const accept = this.#options.accept ?? ((offer) => this.keep(offer));
    const tunnel = new Tunnel({
      resume: { graceMs: this.#options.graceMs ?? 3_600_000 },
      opens: side === 'operator' ? 'odd' : 'even',
      clock: this.clock,
      budget,
      ...(side === 'agent' && { accept }),
    });
    return { tunnel, instance: randomUUID(), budget };
  }

  #makeRelay(): Relay {
    return new Relay({
      clock: this.clock,
      heartbeatIntervalMs: 20_000,
      nextEpoch: async () => {
        const epoch = (this.#epoch += 1);
        if (this.#options.epochDelayMs !== undefined) await this.clock.sleep(this.#options.epochDelayMs);
        return epoch;
      },
      refusal: (side, open) => {
        this.opened.push({ side, protocol: open.protocol });
        return this.#options.refusal?.(side, open);
      },
      onActivity: () => (this.counts.activity += 1),
      onLegLost: (side, end) => this.lost.push({ side, end }),
      onEnded: (by, end) => this.ended.push({ by, end }),
      onResumed: () => (this.counts.resumed += 1),
      onResent: (_from, bytes) => (this.counts.resentBytes += bytes),
      onHeld: () => (this.counts.held += 1),
      onError: (error) => {
        throw error;
      },
    });
  }
}
