import type { SecureContext } from 'node:tls';
import { systemClock } from '@drawbridge/link';
import { LIMITS } from '@drawbridge/protocol';
import { WebSocket } from 'ws';

/** How a simulated client dials. */
export interface ClientOptions {
  readonly url: string;
  readonly secureContext: SecureContext;
  readonly localAddress: string;
}

/** A dial that is not served by then has failed. */
const CONNECT_TIMEOUT_MS = 60_000;
/** Beats after which a client that has heard nothing gives its link up, as an agent does: every beat is answered. */
const SILENT_BEATS_MAX = LIMITS.livenessTimeoutMs / LIMITS.heartbeatIntervalMs;

/** One simulated client: a bare `ws` socket, and what it says on it. */
export abstract class Client {
  readonly #options: ClientOptions;
  #ws: WebSocket | undefined;

  protected constructor(options: ClientOptions) {
    this.#options = options;
  }

  /** Where it dials, and with what. */
  protected abstract request(): {
    readonly path: string;
    readonly protocol: string;
    readonly headers: Readonly<Record<string, string>>;
  };

  /** Says what follows from `text`, and tells whether the client is served now. */
  protected abstract receive(text: string): boolean;

  /** What it sends at once when it is served, and at every interval. */
  protected abstract beat(): string;

  protected abstract readonly beatIntervalMs: number;

  get isConnected(): boolean {
    return this.#ws?.readyState === WebSocket.OPEN;
  }

  /** Resolves when the server has served it. */
  connect(): Promise<void> {
    const { url, secureContext, localAddress } = this.#options;
    const { path, protocol, headers } = this.request();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // `ws` hands what it does not know to `tls.connect`.
    const tls = { secureContext };
    const ws = new WebSocket(new URL(path, url), [protocol], {
      ...tls,
      headers: { ...headers },
      localAddress,
      perMessageDeflate: false,
      skipUTF8Validation: true,
      handshakeTimeout: CONNECT_TIMEOUT_MS,
    });
    this.#ws = ws;
    let beats: NodeJS.Timeout | undefined;
    let heardMs = systemClock.monotonic();
    ws.on('message', (data: Buffer) => {
      heardMs = systemClock.monotonic();
      if (beats !== undefined || !this.receive(data.toString())) return;
      this.send(this.beat());
      beats = setInterval(() => {
        if (systemClock.monotonic() - heardMs > SILENT_BEATS_MAX * this.beatIntervalMs) this.cut();
        this.send(this.beat());
      }, this.beatIntervalMs);
      resolve();
    });
    ws.on('error', reject);
    ws.on('close', (code, reason) => {
      clearInterval(beats);
      reject(new Error(`closed with ${code} ${reason.toString()} before it was served`));
    });
    return promise;
  }

  /** Drops the connection without a word. */
  cut(): void {
    this.#ws?.terminate();
  }

  protected send(text: string): void {
    this.#ws?.send(text);
  }
}
