import { LIMITS, ProtocolError } from '@drawbridge/protocol';
import type { ControlPayload } from '@drawbridge/protocol';
import type { ChannelItem } from './channel.ts';
import type { ReceiveWindow } from './credit.ts';
import { appendSmall } from './small-chunks.ts';

/** A reader has left more items unread than a channel may hold: CLOSE 11. */
export class InboxFullError extends Error {
  override readonly name = 'InboxFullError';
}

interface Unread {
  readonly item: ChannelItem;
  /** Bytes of a CONTROL payload, which no credit covers. */
  readonly controlBytes: number;
}

interface Reader {
  resolve(item: ChannelItem | undefined): void;
}

/** The receiving half of a channel: what arrived and waits for its reader, and the credit to return for what was taken. */
export class Inbox {
  readonly #window: ReceiveWindow;
  readonly #onCredit: (bytes: number) => void;
  readonly #onDrained: () => void;
  readonly #unread: Unread[] = [];
  #controls = 0;
  #controlBytes = 0;
  #reader: Reader | undefined;
  #finished = false;
  /** `discarding`: what arrives is dropped, and credited, because nobody reads. `closed`: nothing arrives any more. */
  #state: 'open' | 'discarding' | 'closed' = 'open';

  constructor(window: ReceiveWindow, on: { credit: (bytes: number) => void; drained: () => void }) {
    this.#window = window;
    this.#onCredit = on.credit;
    this.#onDrained = on.drained;
  }

  /** DATA arrived. Throws ProtocolError when the peer had no credit, or had sent FIN. */
  data(bytes: Uint8Array, stderr: boolean, fin: boolean): void {
    if (this.#finished) throw new ProtocolError('frame_unexpected', 'DATA after FIN');
    this.#window.received(bytes.byteLength);
    this.#finished = fin;
    if (this.#state !== 'open') {
      this.#took(bytes.byteLength);
      return;
    }
    if (bytes.byteLength > 0 && !this.#merged(bytes, stderr)) this.#push({ kind: 'data', bytes, stderr }, 0);
    if (fin) this.#push({ kind: 'fin' }, 0);
  }

  /** CONTROL arrived. Throws InboxFullError when too many wait. */
  control(value: ControlPayload, payloadBytes: number): void {
    if (this.#state !== 'open') return;
    const bytes = this.#controlBytes + payloadBytes;
    if (this.#controls >= LIMITS.channelControlsUnreadMax || bytes > LIMITS.channelControlBytesUnreadMax) {
      throw new InboxFullError(`${this.#controls} CONTROL items of ${this.#controlBytes} bytes are unread`);
    }
    this.#controls += 1;
    this.#controlBytes = bytes;
    this.#push({ kind: 'control', value }, payloadBytes);
  }

  /** Nothing more arrives; what did can still be read. */
  close(): void {
    this.#state = 'closed';
    if (this.#unread.length > 0) return;
    this.#release(undefined);
    this.#onDrained();
  }

  /** Nobody reads any more: drops what waits and what still comes, and returns its credit so that the peer is not stuck. */
  discard(): void {
    const wasClosed = this.#state === 'closed';
    if (!wasClosed) this.#state = 'discarding';
    const dropped = this.#unread.splice(0);
    this.#release(undefined);
    if (wasClosed && dropped.length > 0) this.#onDrained();
    if (wasClosed) return;
    for (const { item } of dropped) if (item.kind === 'data') this.#took(item.bytes.byteLength);
  }

  /** The next item; undefined after the last one. Throws when somebody else is already waiting. */
  async read(signal?: AbortSignal): Promise<ChannelItem | undefined> {
    signal?.throwIfAborted();
    if (this.#reader !== undefined) throw new Error('a channel has one reader at a time');
    if (this.#unread.length > 0) return this.#shift();
    if (this.#state !== 'open') return undefined;
    const { promise, resolve, reject } = Promise.withResolvers<ChannelItem | undefined>();
    const onAbort = () => {
      this.#reader = undefined;
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#reader = {
      resolve(item) {
        signal?.removeEventListener('abort', onAbort);
        resolve(item);
      },
    };
    return promise;
  }

  /** The next item if one waits. */
  take(): ChannelItem | undefined {
    return this.#unread.length > 0 ? this.#shift() : undefined;
  }

  #push(item: ChannelItem, controlBytes: number): void {
    if (this.#unread.length >= LIMITS.channelItemsUnreadMax) {
      throw new InboxFullError(`${this.#unread.length} items are unread`);
    }
    this.#unread.push({ item, controlBytes });
    if (this.#reader !== undefined) this.#release(this.#shift());
  }

  /** Small chunks that wait are put together, so that a slow reader of a chatty peer holds few of them. */
  #merged(bytes: Uint8Array, stderr: boolean): boolean {
    const last = this.#unread.at(-1)?.item;
    if (last?.kind !== 'data' || last.stderr !== stderr) return false;
    const merged = appendSmall(last.bytes, bytes);
    if (merged === undefined) return false;
    this.#unread[this.#unread.length - 1] = { item: { kind: 'data', bytes: merged, stderr }, controlBytes: 0 };
    return true;
  }

  #shift(): ChannelItem | undefined {
    const next = this.#unread.shift();
    if (next === undefined) return undefined;
    const { item, controlBytes } = next;
    if (item.kind === 'control') {
      this.#controls -= 1;
      this.#controlBytes -= controlBytes;
    }
    if (item.kind === 'data') this.#took(item.bytes.byteLength);
    if (this.#state === 'closed' && this.#unread.length === 0) this.#onDrained();
    return item;
  }

  #took(bytes: number): void {
    const credit = this.#window.taken(bytes);
    // After FIN there is nothing left to be ready for.
    if (credit > 0 && !this.#finished && this.#state !== 'closed') this.#onCredit(credit);
  }

  #release(item: ChannelItem | undefined): void {
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.resolve(item);
  }
}
