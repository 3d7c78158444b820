import type { Socket } from 'node:net';
import { eventually } from './eventually.ts';

/** One end of a connection, and everything that happened to it. */
export class RecordedEnd {
  readonly socket: Socket;
  readonly events: string[] = [];
  readonly #chunks: Buffer[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (bytes) => this.#chunks.push(bytes));
    socket.on('end', () => this.events.push('FIN'));
    socket.on('error', (error: NodeJS.ErrnoException) => this.events.push(error.code ?? error.message));
  }

  /** All it heard. */
  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  get text(): string {
    return this.bytes.toString();
  }

  /** Resolves when it has heard exactly `text`. */
  hears(text: string): Promise<unknown> {
    return eventually(() => this.text, { what: `"${text}"`, until: (heard) => heard === text });
  }

  /** Resolves when `FIN` or that error code came. */
  happens(event: string): Promise<unknown> {
    return eventually(() => this.events, { what: event, until: (events) => events.includes(event) });
  }
}
