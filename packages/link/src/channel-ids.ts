import { ControlError, ProtocolError } from '@drawbridge/protocol';

const ID_MAX = 0xffff_ffff;

/** Ids of a tunnel's channels: each end opens its own parity, rising. So the highest of each tells what was ever open. */
export class ChannelIds {
  #nextOwn: number;
  #highestOfPeer = 0;

  constructor(opens: 'odd' | 'even') {
    this.#nextOwn = opens === 'odd' ? 1 : 2;
  }

  /** An id for a new channel of this end. */
  next(): number {
    if (this.#nextOwn > ID_MAX) throw new ControlError('tunnel_unavailable', 'this tunnel has used up its channel ids');
    const channelId = this.#nextOwn;
    this.#nextOwn += 2;
    return channelId;
  }

  /** Throws ProtocolError when the peer may not open this id. */
  noteOpenedByPeer(channelId: number): void {
    if (this.#isOwn(channelId))
      throw new ProtocolError('frame_unexpected', `channel ${channelId} is not the peer's to open`);
    if (channelId <= this.#highestOfPeer) {
      throw new ProtocolError('frame_unexpected', `channel ${channelId} opened after ${this.#highestOfPeer}`);
    }
    this.#highestOfPeer = channelId;
  }

  /** The peer begins anew: what it opened is forgotten. */
  restartPeer(): void {
    this.#highestOfPeer = 0;
  }

  /** Whether a channel of this id was ever opened, by either end. */
  wasOpened(channelId: number): boolean {
    return this.#isOwn(channelId) ? channelId < this.#nextOwn : channelId <= this.#highestOfPeer;
  }

  #isOwn(channelId: number): boolean {
    return channelId % 2 === this.#nextOwn % 2;
  }
}
