import {
  type Clock,
  type MessageSocket,
  type SocketEnd,
  type SocketListener,
  type Timer,
  systemClock,
} from '@drawbridge/link';
import type { Duplex } from 'node:stream';
import { type RawData, WebSocket } from 'ws';
import { ABNORMAL, CLOSE_TIMEOUT_MS, cutReason, sendableCode } from './close-frame.ts';

/** What `wsSocket` may be told. */
export interface WsSocketOptions {
  /** The connection below the WebSocket: with it, bytes of an unfinished message are a sign of life too. */
  readonly transport?: Duplex;
  readonly clock?: Clock;
}

/**
 * An open `ws` WebSocket as a MessageSocket. Call it in the same tick in which the WebSocket opened: from then on nothing is
 * read until somebody listens, so nothing is lost and nothing piles up.
 */
export function wsSocket(ws: WebSocket, options: WsSocketOptions = {}): MessageSocket {
  return new WsSocket(ws, options);
}

class WsSocket implements MessageSocket {
  readonly #ws: WebSocket;
  readonly #transport: Duplex | undefined;
  readonly #clock: Clock;
  #listener: SocketListener | undefined;
  #end: SocketEnd | undefined;
  #error: Error | undefined;
  #closeTimer: Timer | undefined;
  #draining = false;

  constructor(ws: WebSocket, { transport, clock = systemClock }: WsSocketOptions) {
    this.#ws = ws;
    this.#transport = transport;
    this.#clock = clock;
    ws.on('error', (error) => this.#failed(error));
    ws.on('close', (code, reason) => this.#closed(code, reason.toString()));
    if (ws.readyState === WebSocket.CLOSED) this.#closed(ABNORMAL, '');
    ws.pause();
  }

  get bufferedBytes(): number {
    return this.#ws.bufferedAmount;
  }

  send(message: string | Uint8Array): void {
    if (this.#ws.readyState !== WebSocket.OPEN) return;
    this.#draining = true;
    this.#ws.send(message, { binary: typeof message !== 'string' }, this.#sent);
  }

  close(code: number, reason: string): void {
    if (this.#ws.readyState !== WebSocket.OPEN) return;
    this.#ws.close(sendableCode(code), cutReason(reason));
    // The peer's answer has to be read, whoever paused.
    this.#ws.resume();
    this.#dropSoon();
  }

  terminate(): void {
    this.#ws.terminate();
  }

  pause(): void {
    this.#ws.pause();
  }

  resume(): void {
    this.#ws.resume();
  }

  listen(listener: SocketListener): void {
    if (this.#listener !== undefined) throw new Error('a socket has one listener');
    this.#listener = listener;
    const alive = () => listener.alive?.();
    this.#ws.on('message', (data, isBinary) => {
      alive();
      listener.message(isBinary ? bytesOf(data) : bytesOf(data).toString());
    });
    // `ws` answers a ping by itself.
    this.#ws.on('ping', alive);
    this.#ws.on('pong', alive);
    this.#transport?.on('data', alive);
    if (this.#end === undefined) this.#ws.resume();
    else queueMicrotask(() => this.#tell());
  }

  readonly #sent = (): void => {
    // One write to the network may carry many messages: only the first callback after it speaks.
    if (!this.#draining || this.#ws.bufferedAmount > 0 || this.#end !== undefined) return;
    this.#draining = false;
    this.#listener?.drained?.();
  };

  #failed(error: Error): void {
    this.#error ??= error;
    this.#dropSoon();
  }

  #dropSoon(): void {
    if (this.#end !== undefined) return;
    this.#closeTimer ??= this.#clock.after(CLOSE_TIMEOUT_MS, () => this.#ws.terminate());
  }

  #closed(code: number, reason: string): void {
    this.#closeTimer?.cancel();
    this.#end = { code, reason, ...(this.#error !== undefined && { error: this.#error }) };
    this.#tell();
  }

  /** Called once with a listener: by the end when somebody listens, by `listen` when the end came first. */
  #tell(): void {
    if (this.#end !== undefined) this.#listener?.closed(this.#end);
  }
}

/** `ws` hands out Buffers unless `binaryType` says otherwise, and nobody here sets it. */
function bytesOf(data: RawData): Buffer {
  if (!Buffer.isBuffer(data)) throw new TypeError('a WebSocket of ours has binaryType nodebuffer');
  return data;
}
