import { BACKOFF, backoffMs, codeOfClose, connectLeg, systemClock, Tunnel } from '@drawbridge/link';
import type { Channel, Clock, MessageSocket, SocketEnd, TunnelEnd, TunnelStats } from '@drawbridge/link';
import { CloseReason, ControlError, LIMITS, TUNNEL_SUBPROTOCOL, WsClose } from '@drawbridge/protocol';
import type { IssuedTunnel, IssuedTunnelToken, TunnelRequest, TunnelView } from '@drawbridge/protocol/api';
import { ApiError } from '../errors.ts';
import { tunnelAddresses } from './tunnel-addresses.ts';

/** What of a control plane's API a tunnel needs; DrawbridgeClient has it. */
export interface TunnelApi {
  requestTunnel(request: TunnelRequest, signal?: AbortSignal): Promise<IssuedTunnel>;
  tunnelToken(tunnelId: string, signal?: AbortSignal): Promise<IssuedTunnelToken>;
  closeTunnel(tunnelId: string, signal?: AbortSignal): Promise<void>;
  tunnel(tunnelId: string, signal?: AbortSignal): Promise<Pick<TunnelView, 'close_code' | 'close_reason'>>;
}

/** Opens a WebSocket to the control plane, signed in as the caller. */
export type DialTunnel = (url: string, subprotocol: string, signal: AbortSignal) => Promise<MessageSocket>;

/** `reconnecting`: nothing is lost, and nothing passes until the connection is back. */
export type TunnelStatus =
  | { readonly is: 'connected' }
  | { readonly is: 'reconnecting'; readonly reason: string; readonly waitMs: number }
  | { readonly is: 'ended'; readonly end: TunnelEnd };

export interface OperatorTunnelOptions {
  readonly api: TunnelApi;
  readonly dial: DialTunnel;
  /**
   * The control plane's address as the caller uses it: the tunnel is dialled there, and where the control plane says only if that
   * fails the first time.
   */
  readonly url?: string;
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly onStatus?: (status: TunnelStatus) => void;
}

/** The first attempt after a loss is at once; these are the waits between the next ones. */
const RECONNECT = { ...BACKOFF.full_jitter, baseMs: 250, maxMs: 5_000 };

/** What of a refusal time does not heal. */
const FINAL: ReadonlySet<string> = new Set([
  'already_connected',
  'conflict',
  'forbidden',
  'tunnel_not_found',
  'unauthenticated',
]);

/**
 * The operator's end of a tunnel through an agent. Its channels survive the loss of the connection, of the agent's, and a restart
 * of the control plane: it reconnects by itself, until its lease is over.
 */
export class OperatorTunnel implements AsyncDisposable {
  readonly tunnelId: string;
  readonly agentId: string;
  readonly protocol: string;
  /** Resolves when the tunnel is over, and says why. Never rejects. */
  readonly ended: Promise<TunnelEnd>;
  readonly #options: OperatorTunnelOptions;
  readonly #clock: Clock;
  readonly #tunnel: Tunnel;
  readonly #instance = crypto.randomUUID();
  readonly #over = new AbortController();
  /** Where it was connected; from then on the only place. */
  #address: string | undefined;
  /** Wakes up the loop when the leg that it made is gone. */
  #lost = Promise.withResolvers<SocketEnd>();
  #isClosed = false;

  private constructor(lease: IssuedTunnel, options: OperatorTunnelOptions) {
    this.tunnelId = lease.tunnel_id;
    this.agentId = lease.agent_id;
    this.protocol = lease.protocol;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#tunnel = new Tunnel({
      opens: 'odd',
      clock: this.#clock,
      resume: { graceMs: lease.grace_seconds * 1000, onLegLost: (end) => this.#lost.resolve(end) },
    });
    this.ended = this.#tunnel.ended;
    this.ended
      .then((end) => {
        this.#over.abort(new ControlError('tunnel_unavailable', `the tunnel is over: ${end.reason}`));
        options.onStatus?.({ is: 'ended', end });
      })
      .catch(() => undefined);
  }

  /** Asks for a tunnel, and connects its own end. Rejects with ApiError, ControlError, or what the dial failed with. */
  static async open(
    request: TunnelRequest,
    options: OperatorTunnelOptions,
    signal?: AbortSignal,
  ): Promise<OperatorTunnel> {
    const lease = await options.api.requestTunnel(request, signal);
    const made = new OperatorTunnel(lease, options);
    try {
      await made.#connect(lease, signal);
    } catch (error) {
      const why = await made.#whyOver();
      await made.close();
      throw why ?? error;
    }
    made.#stay().catch((error: unknown) => made.#giveUp(error));
    return made;
  }

  /** Channels that are open, or opening. */
  get channels(): number {
    return this.#tunnel.channels;
  }

  /** True while both ends are connected. */
  get isFlowing(): boolean {
    return this.#tunnel.isFlowing;
  }

  /** The round trip to the agent; undefined until data has flowed. */
  get rttMs(): number | undefined {
    return this.#tunnel.farRttMs;
  }

  get stats(): TunnelStats {
    return this.#tunnel.stats;
  }

  /** Opens a channel. Rejects with ControlError: why it was refused, or that the tunnel is over. */
  channel(metadata: Readonly<Record<string, unknown>> = {}, signal?: AbortSignal): Promise<Channel> {
    return this.#tunnel.open({ protocol: this.protocol, metadata }, signal);
  }

  /** Ends the tunnel and its lease. Resolves when both are over, as far as this end can tell. */
  async close(): Promise<void> {
    this.#tunnel.close(CloseReason.Ok, 'closed by its operator');
    const { socket } = await this.ended;
    if (socket.code === WsClose.Normal || this.#isClosed) return;
    // Without a goodbye nobody may have heard of it, and the lease would go on until its grace is over.
    this.#isClosed = true;
    const close = (signal: AbortSignal) => this.#options.api.closeTunnel(this.tunnelId, signal);
    await this.#limited(close).catch(() => undefined);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #stay(): Promise<void> {
    const { onStatus, api, random = Math.random } = this.#options;
    for (;;) {
      const end = await this.#lost.promise;
      let reason = `connection lost (${[end.code, end.reason].filter((part) => part !== '').join(' ')})`;
      if (end.code === 4001) throw new ControlError('already_connected', 'somebody else has connected to this tunnel');
      for (let failures = 0; ; failures += 1) {
        const waitMs = failures === 0 ? 0 : backoffMs(RECONNECT, failures - 1, random);
        onStatus?.({ is: 'reconnecting', reason, waitMs });
        if (waitMs > 0) await this.#clock.sleep(waitMs, this.#over.signal);
        this.#over.signal.throwIfAborted();
        try {
          const token = (signal: AbortSignal) => api.tunnelToken(this.tunnelId, signal);
          await this.#connect(await this.#limited(token, this.#over.signal));
          break;
        } catch (error) {
          this.#over.signal.throwIfAborted();
          if (isFinal(error)) throw (await this.#whyOver()) ?? error;
          reason = error instanceof Error ? error.message : String(error);
        }
      }
    }
  }

  /** Why the lease is over, if it is: the control plane knows more than a leg that is refused. */
  async #whyOver(): Promise<ControlError | undefined> {
    const { tunnelId } = this;
    const ask = (signal: AbortSignal) => this.#options.api.tunnel(tunnelId, signal);
    const view = await this.#limited(ask).catch(() => undefined);
    if (view === undefined || view.close_code === null) return undefined;
    return new ControlError(codeOfClose(view.close_code), `the tunnel is over: ${view.close_reason ?? ''}`);
  }

  async #connect({ operator_url: url, token }: IssuedTunnelToken, signal?: AbortSignal): Promise<void> {
    const socket = await this.#dial(url, signal ?? this.#over.signal);
    const connect = {
      agent_id: this.agentId,
      tunnel_id: this.tunnelId,
      token,
      protocol: this.protocol,
      instance: this.#instance,
    };
    const leg = await connectLeg(socket, connect, this.#clock);
    this.#lost = Promise.withResolvers();
    this.#tunnel.attach(leg.socket, leg.ack.heartbeat_seconds * 1000);
    this.#options.onStatus?.({ is: 'connected' });
  }

  async #dial(operatorUrl: string, signal: AbortSignal): Promise<MessageSocket> {
    const { url, dial } = this.#options;
    const addresses = this.#address === undefined ? tunnelAddresses(url, operatorUrl) : [this.#address];
    let failure: unknown;
    for (const address of addresses) {
      try {
        const socket = await dial(address, TUNNEL_SUBPROTOCOL, signal);
        this.#address = address;
        return socket;
      } catch (error) {
        signal.throwIfAborted();
        failure ??= error;
      }
    }
    throw failure;
  }

  /** A control plane that takes a request and answers nothing is not waited for. */
  async #limited<T>(ask: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const limit = new AbortController();
    const timer = this.#clock.after(LIMITS.dialTimeoutMs, () =>
      limit.abort(new ControlError('timed_out', `no answer within ${LIMITS.dialTimeoutMs / 1000} s`)),
    );
    try {
      return await ask(signal === undefined ? limit.signal : AbortSignal.any([signal, limit.signal]));
    } finally {
      timer.cancel();
    }
  }

  #giveUp(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.#tunnel.close(CloseReason.UnexpectedDisconnect, reason);
  }
}

function isFinal(error: unknown): boolean {
  return (error instanceof ApiError || error instanceof ControlError) && FINAL.has(error.code);
}
