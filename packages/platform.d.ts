// What every place that runs our packages has, browser or Node: the only globals they may use.
// Neither the DOM's nor Node's own types are visible here, so that a package cannot lean on either.

declare class TextEncoder {
  encode(input?: string): Uint8Array<ArrayBuffer>;
}

declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  decode(input?: Uint8Array, options?: { stream?: boolean }): string;
}

interface AbortSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
  addEventListener(type: 'abort', listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

declare const AbortSignal: {
  any(signals: AbortSignal[]): AbortSignal;
  abort(reason?: unknown): AbortSignal;
};

declare class AbortController {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
}

declare function setTimeout(callback: () => void, delayMs: number): unknown;
declare function clearTimeout(handle: unknown): void;
declare function queueMicrotask(callback: () => void): void;

declare const performance: { now(): number };

declare class URL {
  constructor(url: string, base?: string);
  readonly href: string;
  readonly host: string;
  readonly pathname: string;
}

declare const crypto: { randomUUID(): string };

interface ReadableStreamDefaultController<R> {
  enqueue(chunk: R): void;
  close(): void;
  error(reason?: unknown): void;
}

declare class ReadableStream<R> {
  constructor(
    source: {
      pull(controller: ReadableStreamDefaultController<R>): Promise<void>;
      cancel(reason: unknown): void;
    },
    strategy: { highWaterMark: number },
  );
  cancel(reason?: unknown): Promise<void>;
}

interface WritableStreamDefaultController {
  error(reason?: unknown): void;
}

declare class WritableStream<W> {
  constructor(
    sink: {
      start(controller: WritableStreamDefaultController): void;
      write(chunk: W): Promise<void>;
      close(): void;
      abort(reason: unknown): void;
    },
    strategy: { highWaterMark: number },
  );
  abort(reason?: unknown): Promise<void>;
}
