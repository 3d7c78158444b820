import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { eventually } from '@drawbridge/testkit';
import { WebSocket } from 'ws';

/** One message of the control link, as far as a test looks into it. */
export interface RawMessage {
  readonly id: string;
  readonly type: string;
  readonly payload: Readonly<Record<string, unknown>>;
}

/** A WebSocket that says whatever a test wants, and remembers what it heard. */
export class RawSocket implements Disposable {
  readonly #ws: WebSocket;
  readonly #closed: Promise<{ readonly code: number; readonly reason: string }>;
  readonly heard: (RawMessage | Buffer)[] = [];

  constructor(ws: WebSocket) {
    this.#ws = ws;
    ws.on('error', () => {});
    ws.on('message', (data: Buffer, isBinary) => {
      this.heard.push(isBinary ? data : JSON.parse(data.toString()));
    });
    this.#closed = new Promise((resolve) => {
      ws.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
  }

  /** Resolves when it is open; fails with what the server answered instead, as `HTTP <status>`. */
  static async dial(url: string, subprotocol: string, headers: Record<string, string>): Promise<RawSocket> {
    const ws = new WebSocket(url, [subprotocol], { headers });
    const socket = new RawSocket(ws);
    const refused = new Promise<never>((_resolve, reject) => {
      ws.once('unexpected-response', (request, response) => {
        reject(new Error(`HTTP ${response.statusCode} ${response.headers['retry-after'] ?? ''}`.trim()));
        request.destroy();
      });
    });
    await Promise.race([once(ws, 'open'), refused]);
    return socket;
  }

  get isOpen(): boolean {
    return this.#ws.readyState === WebSocket.OPEN;
  }

  /** How it was closed, once it is. */
  get closed(): Promise<{ readonly code: number; readonly reason: string }> {
    return this.#closed;
  }

  /** Reads nothing from now on. */
  pause(): void {
    this.#ws.pause();
  }

  /** Sends just these bytes; resolves when the network has them. */
  send(data: string | Uint8Array): Promise<void> {
    return new Promise((resolve) => this.#ws.send(data, () => resolve()));
  }

  /** Sends a well-formed envelope, whatever is in it. Resolves to its id. */
  async say(type: string, payload: unknown, id: string = randomUUID()): Promise<string> {
    await this.send(JSON.stringify({ id, type, timestamp: new Date().toISOString(), payload }));
    return id;
  }

  /** The first message so far, or soon, that `predicate` says yes to. */
  hears(what: string, predicate: (message: RawMessage) => boolean): Promise<RawMessage> {
    const find = () => this.heard.find((item): item is RawMessage => !Buffer.isBuffer(item) && predicate(item));
    return eventually(find, { what, timeoutMs: 20_000 });
  }

  [Symbol.dispose](): void {
    this.#ws.terminate();
  }
}
