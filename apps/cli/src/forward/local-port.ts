import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { ControlError } from '@drawbridge/client';
import type { OperatorTunnel } from '@drawbridge/client';
import { systemClock, withTimeout } from '@drawbridge/link';
import { CloseReason, LIMITS } from '@drawbridge/protocol';
import { resetSocket } from '@drawbridge/runtime/reset-socket';
import { splice } from '@drawbridge/runtime/splice';
import type { SpliceEnd } from '@drawbridge/runtime/splice';
import { UsageError } from '../exit-codes.ts';
import { addressText } from './forward-spec.ts';
import type { Forward } from './forward-spec.ts';
import type { TunnelKeeper } from './tunnel-keeper.ts';

/** What becomes of one connection. */
export interface ConnectionListener {
  opened(forward: Forward): void;
  /** It never was: why the other side, or its machine, did not want it. */
  refused(forward: Forward, error: unknown): void;
  ended(forward: Forward, end: SpliceEnd): void;
}

/** Bytes of connections: up goes to the agent. */
export interface Carried {
  readonly open: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
}

/** How long a connection waits for a tunnel that is away; its peer has its own patience, too. */
const TUNNEL_WAIT_MS = 30_000;

/** A port of this machine: each connection to it becomes a channel. */
export class LocalPort implements AsyncDisposable {
  readonly forward: Forward;
  readonly #server: Server;
  readonly #keeper: Pick<TunnelKeeper, 'tunnel' | 'current'>;
  readonly #listener: ConnectionListener;
  readonly #sockets = new Set<Socket>();
  #isClosed = false;
  #open = 0;
  #goneUp = 0;
  #goneDown = 0;

  private constructor(
    forward: Forward,
    keeper: Pick<TunnelKeeper, 'tunnel' | 'current'>,
    listener: ConnectionListener,
  ) {
    this.forward = forward;
    this.#keeper = keeper;
    this.#listener = listener;
    // A connection waits unread until there is somebody to read it for.
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) => {
      void this.#serve(socket);
    });
    this.#server.maxConnections = LIMITS.channelsPerTunnelMax;
  }

  /** Binds it. Throws UsageError when it cannot be had. */
  static async listen(
    forward: Forward,
    keeper: Pick<TunnelKeeper, 'tunnel' | 'current'>,
    listener: ConnectionListener,
  ): Promise<LocalPort> {
    const port = new LocalPort(forward, keeper, listener);
    const { bind, port: wanted } = forward;
    port.#server.listen(bind === undefined ? { port: wanted } : { port: wanted, host: bind });
    try {
      await once(port.#server, 'listening');
    } catch (cause) {
      throw new UsageError(`${addressText(bind ?? '*', wanted)} cannot be listened on: ${whyNot(cause)}`, { cause });
    }
    return port;
  }

  /** Where it listens, with the port that was picked. */
  get address(): { readonly host: string; readonly port: number } {
    const { address, port } = this.#server.address() as AddressInfo;
    return { host: address, port };
  }

  get carried(): Carried {
    let bytesUp = this.#goneUp;
    let bytesDown = this.#goneDown;
    for (const socket of this.#sockets) {
      bytesUp += socket.bytesRead;
      bytesDown += socket.bytesWritten;
    }
    return { open: this.#open, bytesUp, bytesDown };
  }

  /** Takes no connection any more, and breaks those there are. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) resetSocket(socket);
    await closed;
  }

  /** Never rejects. */
  async #serve(socket: Socket): Promise<void> {
    this.#sockets.add(socket);
    const gone = new AbortController();
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#goneUp += socket.bytesRead;
      this.#goneDown += socket.bytesWritten;
      gone.abort(new ControlError('cancelled', 'its connection is gone'));
    });
    // Its `close` follows, and says enough.
    socket.on('error', () => undefined);
    try {
      const channel = await this.#channel(gone.signal);
      this.#open += 1;
      this.#listener.opened(this.forward);
      const end = await splice(channel, socket);
      this.#open -= 1;
      if (!this.#isClosed) this.#listener.ended(this.forward, end);
    } catch (error) {
      if (!gone.signal.aborted && !this.#isClosed) this.#listener.refused(this.forward, error);
      resetSocket(socket);
    }
  }

  /** A channel of the tunnel of now, or of the one after it if that ends meanwhile. */
  async #channel(signal: AbortSignal) {
    const { target } = this.forward;
    for (;;) {
      const tunnel = await this.#tunnel(signal);
      try {
        return await tunnel.channel(target, signal);
      } catch (error) {
        if (signal.aborted || !(await isOver(tunnel))) throw error;
      }
    }
  }

  #tunnel(signal: AbortSignal): Promise<OperatorTunnel> {
    const tooLate = () => new ControlError('tunnel_unavailable', `no tunnel within ${TUNNEL_WAIT_MS / 1000} s`);
    return withTimeout(systemClock, TUNNEL_WAIT_MS, this.#keeper.tunnel(signal), tooLate);
  }
}

/** True when the tunnel has ended, and not just one channel of it. */
function isOver(tunnel: OperatorTunnel): Promise<boolean> {
  return Promise.race([tunnel.ended.then(() => true), Promise.resolve().then(() => false)]);
}

/** True for an end that lost something: neither both sides done, nor this one gone. */
export function isLost({ end, error }: SpliceEnd): boolean {
  return error === undefined && end.code !== CloseReason.Ok;
}

function whyNot(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown error';
  if (code === 'EADDRINUSE') return 'somebody else listens there';
  if (code === 'EADDRNOTAVAIL') return 'this machine has no such address';
  if (code === 'EACCES') return 'this account may not';
  return code === 'ENOTFOUND' ? 'there is no such name' : code;
}
