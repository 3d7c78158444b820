import assert from 'node:assert/strict';
import type { ChannelOffer } from '@drawbridge/link';
import { ControlError, LIMITS } from '@drawbridge/protocol';
import { settle } from '@drawbridge/testkit';
import type { SocketPair, SocketPairOptions } from '@drawbridge/testkit';
import { TalkEnd } from './relay-said-fixture.ts';
import { RelayedFixture } from './relayed-fixture.ts';
import type { RelayedOptions } from './relayed-fixture.ts';
import type { Side } from './relay.ts';

/** For tests: what becomes of an open. */
export type OpenKind = 'taken' | 'kept' | 'refused by the relay' | 'refused by the far end';

/** For tests: one channel, from the wish for it on. */
interface Talk {
  readonly kind: OpenKind;
  readonly abort: AbortController;
  near: TalkEnd | undefined;
  far: TalkEnd | undefined;
  /** Why the open failed. */
  error: unknown;
}

const SIDES = ['operator', 'agent'] as const;
const WAYS = ['aToB', 'bToA'] as const;
const FRAME_BYTES_MAX = LIMITS.frameHeaderBytes + LIMITS.framePayloadBytesMax;
const ROUNDS_MAX = 120;

/** For tests: a relayed tunnel whose ends talk, and a model of what each of them has to hear. */
export class World implements AsyncDisposable {
  readonly relayed: RelayedFixture;
  readonly talks: Talk[] = [];
  readonly #kept: { offer: ChannelOffer; talk: Talk }[] = [];
  readonly #pairs: SocketPair[] = [];
  #hasLatency = false;
  /** Processes of ends that were lost: then, and only then, may a channel end with 8. */
  #restarts = 0;

  constructor(options: Pick<RelayedOptions, 'epochDelayMs'> = {}) {
    this.relayed = new RelayedFixture({
      ...options,
      accept: (offer) => this.#offered(offer),
      refusal: (_side, { protocol }) =>
        protocol === 'refused by the relay' ? new ControlError('forbidden', 'the relay') : undefined,
    });
    for (const side of SIDES) this.dial(side);
  }

  dial(side: Side, wire: SocketPairOptions = {}, lagMs = 0): void {
    if ((wire.latencyMs ?? 0) > 0) this.#hasLatency = true;
    this.#pairs.push(this.relayed.dial(side, wire, lagMs));
  }

  restartEnd(side: Side): void {
    this.#restarts += 1;
    this.relayed.restartEnd(side);
  }

  stall(side: Side, way: (typeof WAYS)[number]): void {
    this.relayed.pair(side)?.[way].stall();
  }

  release(side: Side, way: (typeof WAYS)[number]): void {
    this.relayed.pair(side)?.[way].release();
  }

  open(kind: OpenKind): void {
    const talk: Talk = { kind, abort: new AbortController(), near: undefined, far: undefined, error: undefined };
    const index = this.talks.push(talk) - 1;
    this.relayed.operator.open({ protocol: kind, metadata: { index } }, talk.abort.signal).then(
      (channel) => {
        talk.near = new TalkEnd('operator', channel);
        void talk.near.listen(() => talk.far?.said);
      },
      (error: unknown) => (talk.error = error),
    );
  }

  /** Answers the offer that has waited longest. */
  answer(isTaken: boolean): void {
    const next = this.#kept.shift();
    if (next === undefined || next.offer.signal.aborted) return;
    if (isTaken) this.#take(next.offer, next.talk);
    else next.offer.refuse('forbidden', 'the far end');
  }

  giveUp(which: number): void {
    this.talks.at(which)?.abort.abort(new Error('given up'));
  }

  end(which: number, side: Side): TalkEnd | undefined {
    const open = this.talks.filter(({ near, far }) => near !== undefined || far !== undefined);
    const talk = open[which % Math.max(1, open.length)];
    return side === 'operator' ? talk?.near : talk?.far;
  }

  /** Lets `count` microtasks pass: about as many messages on each wire. */
  async turns(count: number): Promise<void> {
    for (let turn = 0; turn < count; turn += 1) await Promise.resolve();
  }

  /** What has to be true at any time. */
  check(): void {
    for (const { near, far } of this.talks)
      for (const end of [near, far]) if (end?.failure !== undefined) throw end.failure;
    assert.deepEqual(this.relayed.ended, [], 'the tunnel has ended');
    for (const side of SIDES) {
      const { budget } = this.relayed.ends[side];
      assert.ok(budget.bytesUsed <= budget.bytesMax, `windows of the ${side}`);
    }
    for (const { aToB, bToA } of this.#pairs) {
      assert.ok(bToA.bufferedBytesHighest <= LIMITS.socketBufferBytesMax, 'an end overfills its socket');
      // What travels already still arrives at a relay that has stopped reading.
      const most = LIMITS.socketBufferBytesMax + 2 * FRAME_BYTES_MAX;
      assert.ok(this.#hasLatency || aToB.bufferedBytesHighest <= most, 'the relay overfills a leg');
    }
  }

  /** The network is mended, and everybody reads: it all has to come to rest, and to add up. */
  async comeToRest(): Promise<void> {
    await this.#settleAll('the first', () => this.#hasDrained());
    this.#expectAgreement();
    this.open('taken');
    await this.#settleAll('a new channel', () => this.#hasDrained());
    assert.ok(this.talks.at(-1)?.near, 'no new channel opens');
    for (const { near, far } of this.talks) {
      near?.close(0);
      if (near === undefined) far?.close(12);
    }
    await this.#settleAll('the last', () => this.#hasEnded());
    this.#expectAgreement();
    for (const side of SIDES) {
      const { tunnel, budget } = this.relayed.ends[side];
      assert.deepEqual([side, tunnel.channels, budget.bytesUsed], [side, 0, 0], 'a channel is left');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.relayed[Symbol.asyncDispose]();
    await this.relayed.clock.advance(1_000);
    await settle();
    assert.equal(this.relayed.clock.pending, 0, 'timers are left');
  }

  #offered(offer: ChannelOffer): void {
    const talk = this.talks[Number(offer.metadata['index'])];
    assert.ok(talk, `an offer that nobody made: ${JSON.stringify(offer.metadata)}`);
    if (offer.protocol === 'refused by the far end') return offer.refuse('forbidden', 'the far end');
    assert.ok(offer.protocol !== 'refused by the relay', 'an offer that was refused');
    if (offer.protocol === 'kept') this.#kept.push({ offer, talk });
    else this.#take(offer, talk);
  }

  #take(offer: ChannelOffer, talk: Talk): void {
    assert.equal(talk.far, undefined, 'an offer that came twice');
    const far = new TalkEnd('agent', offer.accept());
    talk.far = far;
    void far.listen(() => talk.near?.said);
  }

  async #settleAll(what: string, isDone: () => boolean): Promise<void> {
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      for (const side of SIDES) {
        for (const way of WAYS) this.release(side, way);
        if (!this.relayed.isConnected(side)) this.dial(side);
      }
      while (this.#kept.length > 0) this.answer(true);
      for (const { near, far } of this.talks) for (const end of [near, far]) end?.read(100_000);
      await this.relayed.clock.advance(round < 20 ? 100 : 1_000);
      this.check();
      if (isDone()) return;
    }
    throw new Error(`${what} rest does not come: ${this.#describe()}`);
  }

  #hasDrained(): boolean {
    if (SIDES.some((side) => !this.relayed.ends[side].tunnel.isFlowing)) return false;
    return this.talks.every(({ near, far, error }) => {
      if (error !== undefined) return far === undefined || far.isOver;
      if (near === undefined) return false;
      if (near.isOver && far?.isOver === true) return true;
      const isClosing = [near, far].some(
        (end) => end === undefined || end.ended !== undefined || end.closedWith.length > 0,
      );
      return !isClosing && near.said.isHeard && far?.said.isHeard === true;
    });
  }

  #hasEnded(): boolean {
    return this.talks.every(
      ({ near, far, error }) => (near?.isOver ?? error !== undefined) && (far === undefined || far.isOver),
    );
  }

  /** Every channel has said why it ended, to both ends, and what came before is complete. */
  #expectAgreement(): void {
    for (const talk of this.talks) {
      const { near, far, kind, error } = talk;
      if (error !== undefined) this.#expectReason(talk);
      else assert.ok(!kind.startsWith('refused'), `${kind}, but opened`);
      for (const [to, from] of [
        [near, far],
        [far, near],
      ] as const) {
        if (to?.ended === undefined) continue;
        const { code, reason } = to.ended;
        if (code === 8) assert.ok(this.#restarts > 0, 'ended with 8 though no process was lost');
        else if (reason === to.side) assert.ok(to.closedWith.includes(code), `${to.side}: ended with ${code}`);
        else if (from === undefined) assert.equal(code, 12, `${to.side}: ended with ${code} by nobody`);
        else {
          assert.equal(reason, from.side);
          assert.ok(from.closedWith.includes(code), `${to.side}: ended with ${code} by the ${from.side}`);
        }
        // A CLOSE 0 comes after everything that was said before it; an end that closes drops what it has not read.
        if (code === 0 && to.closedWith.length === 0 && from !== undefined)
          assert.ok(from.said.isHeard, String(from.said));
      }
    }
  }

  #expectReason({ kind, abort, far, error }: Talk): void {
    const code = error instanceof ControlError ? error.code : undefined;
    if (error === abort.signal.reason || code === 'timed_out') {
      if (far !== undefined && far.closedWith.length === 0 && this.#restarts === 0) assert.equal(far.ended?.code, 12);
    } else if (code === 'forbidden' && far === undefined) assert.ok(kind !== 'taken');
    else if (code === 'tunnel_unavailable' && this.#restarts > 0) return;
    else assert.ok(far !== undefined && far.closedWith.length > 0, `${kind}: ${String(error)}`);
  }

  #describe(): string {
    return this.talks
      .map(({ kind, near, far, error }, index) =>
        [
          `${index} ${kind} ${error instanceof Error ? error.message : ''}`,
          ...[near, far].map(
            (end) => end && `${String(end.said)} ended ${JSON.stringify(end.ended)} over ${String(end.isOver)}`,
          ),
        ].join(' | '),
      )
      .join('\n');
  }
}
