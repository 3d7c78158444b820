import type { Clock } from '@drawbridge/link';
import { connect, type Socket } from 'node:net';
import type { ChaosFaults } from './chaos-faults.ts';
import { ChaosPipe } from './chaos-pipe.ts';

/** The way bytes go: `up` from the client to the target, `down` back. */
export type Direction = 'up' | 'down';

/** What one connection through the proxy needs. */
export interface ChaosConnectionOptions {
  readonly client: Socket;
  readonly to: { readonly host: string; readonly port: number };
  readonly faults: Readonly<Record<Direction, ChaosFaults>>;
  readonly clock: Clock;
  readonly onCarried: (direction: Direction, byteCount: number) => void;
  readonly onClosed: (connection: ChaosConnection) => void;
}

/** One accepted client and the connection to the target that belongs to it. */
export class ChaosConnection {
  readonly #options: ChaosConnectionOptions;
  readonly #sockets: Set<Socket>;
  #target: Socket | undefined;
  #pipes: readonly ChaosPipe[] = [];
  #severed = false;

  constructor(options: ChaosConnectionOptions) {
    this.#options = options;
    this.#sockets = new Set();
    this.#own(options.client);
  }

  /** Something about the faults changed: go on, or stop. A connection that was made in the dark dials its target now. */
  move(): void {
    const { client, faults } = this.#options;
    if (this.#severed || client.destroyed) return;
    if (this.#target === undefined && !faults.up.blocked) this.#dial();
    for (const pipe of this.#pipes) pipe.move();
  }

  /** Ends both sides with FIN; what is under way is lost. */
  cut(): void {
    this.#sever();
    for (const socket of this.#sockets) {
      socket.end();
      // Closing with unread bytes would be a reset.
      socket.resume();
    }
  }

  /** Ends both sides with RST. */
  reset(): void {
    this.#sever();
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Both sides stay open, and neither hears of the other again. */
  forget(): void {
    this.#sever();
    for (const socket of this.#sockets) socket.pause();
  }

  #dial(): void {
    const { client, to, faults, clock, onCarried } = this.#options;
    const target = connect({ ...to, allowHalfOpen: true, noDelay: true });
    this.#target = target;
    this.#own(target);
    const pipe = (direction: Direction, source: Socket, sink: Socket) =>
      new ChaosPipe({
        source,
        sink,
        faults: faults[direction],
        clock,
        onCut: () => this.cut(),
        onCarried: (byteCount) => onCarried(direction, byteCount),
      });
    this.#pipes = [pipe('up', client, target), pipe('down', target, client)];
  }

  #own(socket: Socket): void {
    this.#sockets.add(socket);
    // A broken socket closes; that is where it is handled.
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#sockets.delete(socket);
      if (this.#sockets.size > 0) return;
      this.#sever();
      this.#options.onClosed(this);
    });
  }

  #sever(): void {
    this.#severed = true;
    for (const pipe of this.#pipes) pipe.stop();
  }
}
