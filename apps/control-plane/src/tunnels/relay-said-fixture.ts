import type { Channel, ChannelItem } from '@drawbridge/link';
import type { ClosePayload, ControlPayload } from '@drawbridge/protocol';
import type { Side } from './relay.ts';

/** For tests: something said on a channel that its reader has not had. */
type Unheard = { kind: 'data'; stderr: boolean; left: number } | { kind: 'control'; number: number } | { kind: 'fin' };

const PERIOD_BYTES = 1_000_003;
const SEND_BYTES_MAX = 400_000;

/** Bytes whose place can be told: a gap or a repetition of any length shows. */
const PATTERN = Buffer.from(
  Uint8Array.from({ length: PERIOD_BYTES + SEND_BYTES_MAX }, (_, index) =>
    Math.floor(Math.imul(index % PERIOD_BYTES, 0x9e3779b1) / 2 ** 24),
  ),
);

/** For tests: what one end says on a channel, held against what the other hears: everything once, and in order. */
export class Said {
  readonly #name: string;
  readonly #unheard: Unheard[] = [];
  #said: number;
  #heard: number;
  #controls = 0;

  constructor(name: string, seed: number) {
    this.#name = name;
    this.#said = this.#heard = seed * 7_919;
  }

  /** All of it has been heard. */
  get isHeard(): boolean {
    return this.#unheard.length === 0;
  }

  data(length: number, stderr: boolean): Uint8Array {
    const at = this.#said % PERIOD_BYTES;
    this.#said += length;
    if (length > 0) this.#unheard.push({ kind: 'data', stderr, left: length });
    return PATTERN.subarray(at, at + length);
  }

  control(): ControlPayload {
    this.#controls += 1;
    this.#unheard.push({ kind: 'control', number: this.#controls });
    return { number: this.#controls };
  }

  fin(): void {
    this.#unheard.push({ kind: 'fin' });
  }

  /** Throws unless this is what comes next. */
  hear(item: ChannelItem): void {
    if (item.kind === 'data') return this.#hearData(item.bytes, item.stderr);
    const next = this.#unheard.shift();
    const isRight =
      next?.kind === item.kind &&
      (next.kind !== 'control' || item.kind !== 'control' || next.number === item.value['number']);
    if (!isRight) throw new Error(`${this.#name}: heard ${JSON.stringify(item)}, not ${JSON.stringify(next)}`);
  }

  toString(): string {
    return `${this.#name}: unheard ${JSON.stringify(this.#unheard)}`;
  }

  #hearData(bytes: Uint8Array, stderr: boolean): void {
    const at = this.#heard % PERIOD_BYTES;
    if (!PATTERN.subarray(at, at + bytes.byteLength).equals(bytes))
      throw new Error(`${this.#name}: ${bytes.byteLength} other bytes than were sent at ${at}`);
    this.#heard += bytes.byteLength;
    for (let left = bytes.byteLength; left > 0;) {
      const next = this.#unheard[0];
      if (next?.kind !== 'data' || next.stderr !== stderr)
        throw new Error(`${this.#name}: heard ${left} bytes (stderr ${stderr}), not ${JSON.stringify(next)}`);
      const taken = Math.min(left, next.left);
      next.left -= taken;
      left -= taken;
      if (next.left === 0) this.#unheard.shift();
    }
  }
}

/** For tests: one end of a channel, who says and who reads there, and how it ended. */
export class TalkEnd {
  readonly side: Side;
  readonly channel: Channel;
  readonly said: Said;
  /** Codes this end has closed with. */
  readonly closedWith: number[] = [];
  ended: ClosePayload | undefined;
  failure: unknown;
  #isRead = false;
  #hasEnded = false;
  #mayRead = 0;
  #wake = Promise.withResolvers<void>();

  constructor(side: Side, channel: Channel) {
    this.side = side;
    this.channel = channel;
    this.said = new Said(`channel ${channel.id} from the ${side}`, channel.id * 2 + (side === 'agent' ? 1 : 0));
    void channel.ended.then((end) => (this.ended = end));
  }

  /** The channel has ended, and its reader knows. */
  get isOver(): boolean {
    return this.#isRead && this.ended !== undefined;
  }

  send(bytes: number, stderr: boolean): void {
    if (this.#hasEnded || this.#isMute) return;
    this.#expectRoomOrEnd(this.channel.send(this.said.data(bytes, stderr), { stderr }));
  }

  control(): void {
    if (this.#isMute) return;
    this.#expectRoomOrEnd(this.channel.control(this.said.control()));
  }

  end(): void {
    if (this.#hasEnded || this.#isMute) return;
    this.#hasEnded = true;
    this.said.fin();
    this.channel.end();
  }

  close(code: number): void {
    if (this.ended !== undefined) return;
    this.closedWith.push(code);
    this.channel.close({ code, reason: this.side });
  }

  /** Lets the reader take so many items more. */
  read(items: number): void {
    this.#mayRead += items;
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  /** Reads what it may, as long as there is something, and holds it against what the other end said. */
  async listen(other: () => Said | undefined): Promise<void> {
    try {
      for (;;) {
        while (this.#mayRead <= 0) await this.#wake.promise;
        const item = await this.channel.read();
        if (item === undefined) break;
        this.#mayRead -= 1;
        const said = other();
        if (said === undefined) throw new Error(`channel ${this.channel.id}: heard before the other end was there`);
        said.hear(item);
      }
    } catch (error) {
      this.failure = error;
    }
    this.#isRead = true;
  }

  /** Nothing more can be said here: an end that was closed says so. */
  get #isMute(): boolean {
    return this.ended !== undefined || this.closedWith.length > 0;
  }

  #expectRoomOrEnd(promise: Promise<void>): void {
    promise.catch((error: unknown) => {
      if (this.ended === undefined && this.closedWith.length === 0) this.failure = error;
    });
  }
}
