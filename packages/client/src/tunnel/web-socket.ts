import type { Clock, MessageSocket, SocketEnd, SocketListener, Timer } from '@drawbridge/link';

/** What is used of a WebSocket, the browser's or Node's; its binaryType is `arraybuffer`. */
export interface WebSocketLike {
  binaryType: string;
  readonly readyState: number;
  readonly bufferedAmount: number;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: 'open' | 'error', listener: () => void): void;
  addEventListener(type: 'message', listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: 'close', listener: (event: { readonly code: number; readonly reason: string }) => void): void;
}

const OPEN = 1;
/** How often a WebSocket that has bytes to send is asked whether they are gone: it does not say so itself. */
const DRAIN_POLL_MS = 5;
/** The peer has this long to answer a close frame. */
const CLOSE_TIMEOUT_MS = 2_000;
/** A WebSocket cannot be told to stop reading: what comes while nobody listens waits here. Past it the peer ignores its credit. */
const UNREAD_BYTES_MAX = 64 * 1024 * 1024;
/** A page may close with few codes only: this one stands for the others. */
const OTHER_CODE = 3000;
const REASON_CHARACTERS_MAX = 40;

/** A WebSocket as a MessageSocket. Made before it is open, so that nothing is missed. */
export function webSocket(ws: WebSocketLike, clock: Clock): MessageSocket {
  return new WebSocketSocket(ws, clock);
}

class WebSocketSocket implements MessageSocket {
  readonly #ws: WebSocketLike;
  readonly #clock: Clock;
  readonly #unread: (string | Uint8Array)[] = [];
  #unreadBytes = 0;
  #listener: SocketListener | undefined;
  #isPaused = false;
  #drainTimer: Timer | undefined;
  #closeTimer: Timer | undefined;
  #end: SocketEnd | undefined;
  #isTold = false;

  constructor(ws: WebSocketLike, clock: Clock) {
    this.#ws = ws;
    this.#clock = clock;
    ws.addEventListener('message', ({ data }) => this.#received(data));
    ws.addEventListener('close', ({ code, reason }) => this.#finish({ code, reason }));
  }

  get bufferedBytes(): number {
    return this.#ws.bufferedAmount;
  }

  send(message: string | Uint8Array): void {
    if (this.#ws.readyState !== OPEN || this.#end !== undefined) return;
    // The bytes belong to the socket from here on, and nobody shares their memory.
    this.#ws.send(message as string | Uint8Array<ArrayBuffer>);
    this.#watchDrain();
  }

  close(code: number, reason: string): void {
    if (this.#end !== undefined || this.#closeTimer !== undefined) return;
    this.#closeTimer = this.#clock.after(CLOSE_TIMEOUT_MS, () => this.terminate());
    const isAllowed = code === 1000 || (code >= 3000 && code <= 4999);
    this.#ws.close(isAllowed ? code : OTHER_CODE, reason.slice(0, REASON_CHARACTERS_MAX));
    // The peer's answer has to be heard, whoever paused.
    this.resume();
  }

  terminate(): void {
    this.#ws.close();
    this.#unread.length = 0;
    this.#finish({ code: 1006, reason: '' });
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#deliver();
  }

  listen(listener: SocketListener): void {
    if (this.#listener !== undefined) throw new Error('a socket has one listener');
    this.#listener = listener;
    queueMicrotask(() => this.#deliver());
  }

  #received(data: unknown): void {
    if (this.#end !== undefined) return;
    const message = data instanceof ArrayBuffer ? new Uint8Array(data) : String(data);
    this.#unread.push(message);
    this.#unreadBytes += message.length;
    this.#listener?.alive?.();
    this.#deliver();
    if (this.#unreadBytes > UNREAD_BYTES_MAX) this.terminate();
  }

  #finish(end: SocketEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#drainTimer?.cancel();
    this.#closeTimer?.cancel();
    this.#isPaused = false;
    queueMicrotask(() => this.#deliver());
  }

  /** In order, and the end last. */
  #deliver(): void {
    const listener = this.#listener;
    if (listener === undefined) return;
    while (!this.#isPaused) {
      const message = this.#unread.shift();
      if (message === undefined) break;
      this.#unreadBytes -= message.length;
      listener.message(message);
    }
    if (this.#end === undefined || this.#unread.length > 0 || this.#isTold) return;
    this.#isTold = true;
    listener.closed(this.#end);
  }

  #watchDrain(): void {
    if (this.#drainTimer !== undefined) return;
    this.#drainTimer = this.#clock.after(DRAIN_POLL_MS, () => {
      this.#drainTimer = undefined;
      if (this.#ws.bufferedAmount > 0) this.#watchDrain();
      else this.#listener?.drained?.();
    });
  }
}
