import { Agent, request } from 'node:http';
import type { ClientRequest, RequestOptions } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock, Timer } from '@drawbridge/link';
import { actorText } from '../operators/actor.ts';
import type { Actor } from '../operators/actor.ts';
import type { SystemTunnels } from '../tunnels/system-tunnels.ts';
import { ChannelSocket } from './channel-socket.ts';
import { PROXY_LIMITS } from './limits.ts';

/** A port of an agent, and who wants it. */
export interface Backend {
  readonly agentId: string;
  readonly port: number;
  readonly actor: Actor;
}

/** A request to a service; `headers` are raw, and complete. */
export interface BackendRequest {
  readonly backend: Backend;
  readonly method: string;
  readonly target: string;
  readonly headers: string[];
  /** It does no harm twice: a connection that has served before will do, and may turn out to be gone. */
  readonly isRepeatable: boolean;
}

export interface BackendConnectionsOptions {
  readonly tunnels: Pick<SystemTunnels, 'channel'>;
  readonly clock: Clock;
}

/** Connections to services behind agents: each is a channel that the agent connects on its own loopback, under its own policy. */
export class BackendConnections implements Disposable {
  readonly #tunnels: BackendConnectionsOptions['tunnels'];
  readonly #pool: BackendPool;

  constructor({ tunnels, clock }: BackendConnectionsOptions) {
    this.#tunnels = tunnels;
    this.#pool = new BackendPool(this, clock);
  }

  /** Idle connections, for tests. */
  get idle(): number {
    return this.#pool.idle;
  }

  /** A connection of its own. Rejects with what the agent, or the way to it, refuses it with. */
  async connect({ agentId, port, actor }: Backend, signal: AbortSignal): Promise<ChannelSocket> {
    const wanted = { protocol: 'tcp', metadata: { host: '127.0.0.1', port } };
    return new ChannelSocket(await this.#tunnels.channel(agentId, wanted, actorText(actor), signal));
  }

  /**
   * Begins a request. One that must not be sent twice has a connection of its own: nobody can tell whether a service that hangs up
   * on a connection it has kept for long has seen the request.
   */
  request({ backend, method, target, headers, isRepeatable }: BackendRequest, signal: AbortSignal): ClientRequest {
    const options = {
      method,
      path: target,
      // The list is taken as it is: Node adds nothing that it should know from the rest.
      headers: isRepeatable ? headers : [...headers, 'Connection', 'close'],
      setHost: false,
      maxHeaderSize: PROXY_LIMITS.answerHeaderBytesMax,
    };
    if (isRepeatable) return request({ ...options, agent: this.#pool, backend, until: signal } as PooledOptions);
    return request({
      ...options,
      createConnection: (_options, connected) => {
        this.connect(backend, signal).then(
          (socket) => connected(null, socket),
          (error: Error) => connected(error, NO_SOCKET),
        );
        return undefined;
      },
    });
  }

  [Symbol.dispose](): void {
    this.#pool.destroy();
  }
}

/** What goes with an error where the types want a socket, and Node looks at none. */
const NO_SOCKET = undefined as unknown as Duplex;

interface PooledOptions extends RequestOptions {
  readonly backend: Backend;
  readonly until: AbortSignal;
}

/** Node's pool of connections, over channels. How many are in use is bounded by who asks (`exchangesPerAgentMax`). */
class BackendPool extends Agent {
  readonly #connections: BackendConnections;
  readonly #clock: Clock;
  readonly #idle = new Map<Duplex, { readonly timer: Timer; readonly end: () => void }>();

  constructor(connections: BackendConnections, clock: Clock) {
    super({ keepAlive: true, maxFreeSockets: PROXY_LIMITS.idlePerPortMax, scheduling: 'lifo' });
    this.#connections = connections;
    this.#clock = clock;
  }

  get idle(): number {
    return this.#idle.size;
  }

  override getName({ backend }: PooledOptions): string {
    return `${backend.agentId}:${backend.port}`;
  }

  override createConnection(
    { backend, until }: PooledOptions,
    connected: (error: Error | null, socket: Duplex) => void,
  ): undefined {
    this.#connections.connect(backend, until).then(
      (socket) => connected(null, socket),
      (error: Error) => connected(error, NO_SOCKET),
    );
  }

  /** Whether it is kept. What a service says without being asked would be taken for the answer to the next request: it ends. */
  override keepSocketAlive(socket: Duplex): boolean {
    if (this.#idle.size >= PROXY_LIMITS.idleMax) return false;
    const end = () => void socket.destroy();
    const timer = this.#clock.after(PROXY_LIMITS.idleMs, end);
    this.#idle.set(socket, { timer, end });
    socket.on('data', end).once('close', () => this.#leaveIdle(socket));
    return true;
  }

  override reuseSocket(socket: Duplex, asked: ClientRequest): void {
    asked.reusedSocket = true;
    this.#leaveIdle(socket);
  }

  #leaveIdle(socket: Duplex): void {
    const idle = this.#idle.get(socket);
    if (idle === undefined) return;
    this.#idle.delete(socket);
    idle.timer.cancel();
    socket.off('data', idle.end);
  }
}
