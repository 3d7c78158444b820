import { BACKOFF, backoffMs, closeError, systemClock } from '@drawbridge/link';
import type { Channel, Clock } from '@drawbridge/link';
import { CloseReason, ControlError, SESSION_TAKEN_OVER, SessionChannelAck, SessionGap } from '@drawbridge/protocol';
import type { ClosePayload, ErrorCode, SessionControl, SessionMode, TerminalSize } from '@drawbridge/protocol';
import { isAgentOffline, isPassing } from '../errors.ts';
import type { OpenTunnelOptions } from '../tunnel/open-tunnel.ts';
import type { OperatorTunnel, TunnelStatus } from '../tunnel/operator-tunnel.ts';

/** Opens the tunnel below, for as long as the signal says. */
export type OpenTerminalTunnel = (
  onStatus: OpenTunnelOptions['onStatus'],
  signal: AbortSignal,
) => Promise<OperatorTunnel>;

/** How to attach. */
export interface AttachOptions {
  /** From which byte of the output on; by default from the oldest that is kept. */
  readonly since?: number | undefined;
  /** Takes the place of who writes now. */
  readonly takeover?: boolean | undefined;
  /** The size of the terminal it is shown on: the session's is made the same. */
  readonly size?: TerminalSize | undefined;
  /** How the tunnel below is held. */
  readonly tunnel?: Omit<OpenTunnelOptions, 'onStatus'> | undefined;
  /** Told when the connection is lost, and when it is back. */
  readonly onStatus?: ((status: AttachStatus) => void) | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: (() => number) | undefined;
}

/** `reconnecting`: nothing is lost as long as the agent keeps it. */
export type AttachStatus = { readonly is: 'attached' } | { readonly is: 'reconnecting'; readonly reason: string };

/** Output of a session. `offset` is that of the first byte; `lostBytes` before it are gone: the agent keeps a bounded number of them. */
export interface SessionBytes {
  readonly bytes: Uint8Array;
  readonly stderr: boolean;
  readonly offset: number;
  readonly lostBytes: number;
}

/** How a session ended: with an exit code, or by a signal. */
export interface SessionEnd {
  readonly exitCode: number | undefined;
  readonly reason: string;
}

const RETRY = { ...BACKOFF.full_jitter, baseMs: 100, maxMs: 2_000 };

/** Ends of a channel, and refusals, after which the session may still be there. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  'agent_error',
  'agent_offline',
  'expired',
  'server_draining',
  'store_unavailable',
  'timed_out',
  'tunnel_unavailable',
]);

/**
 * A session that this end writes to and reads from. What is read is each byte once, over the loss of any connection and restarts of the control
 * plane and the agent; who reads nothing holds the session's output back.
 */
export class SessionTerminal implements AsyncIterable<SessionBytes>, AsyncDisposable {
  readonly sessionId: string;
  readonly #openTunnel: OpenTerminalTunnel;
  readonly #options: AttachOptions;
  readonly #clock: Clock;
  readonly #over = new AbortController();
  readonly #attachId = crypto.randomUUID();
  #tunnel: OperatorTunnel | undefined;
  #channel: Promise<Channel>;
  #mode: SessionMode = 'pty';
  #size: TerminalSize | undefined;
  /** The offset of the next byte; undefined until the first channel has said where it begins. */
  #offset: number | undefined;
  #end: SessionEnd | undefined;
  #inputEnded = false;

  private constructor(sessionId: string, openTunnel: OpenTerminalTunnel, options: AttachOptions) {
    this.sessionId = sessionId;
    this.#openTunnel = openTunnel;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#size = options.size;
    this.#offset = options.since;
    this.#channel = this.#attachOnce(options.takeover ?? false);
    this.#channel.catch(() => undefined);
  }

  static async attach(
    sessionId: string,
    openTunnel: OpenTerminalTunnel,
    options: AttachOptions,
    signal?: AbortSignal,
  ): Promise<SessionTerminal> {
    const made = new SessionTerminal(sessionId, openTunnel, options);
    const abort = () => made.#over.abort(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    try {
      await made.#channel;
      return made;
    } catch (error) {
      await made[Symbol.asyncDispose]();
      throw error;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  get mode(): SessionMode {
    return this.#mode;
  }

  /** The offset of the next byte: where somebody else goes on with `since`. */
  get offset(): number {
    return this.#offset ?? 0;
  }

  /** How the session ended; undefined while it runs. */
  get end(): SessionEnd | undefined {
    return this.#end;
  }

  /**
   * The output until the session ends. Throws ControlError `already_connected` when somebody else has taken over, and what ends it
   * besides. One reader at a time.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<SessionBytes> {
    for (;;) {
      const channel = await this.#channel;
      yield* this.#read(channel);
      const end = await channel.ended;
      if (this.#over.signal.aborted) return;
      if (end.code === CloseReason.Ok) {
        this.#end = { exitCode: end.exit_code, reason: end.reason };
        return;
      }
      const error = errorOf(channel, end);
      if (!PASSING.has(error.code)) throw error;
      this.#channel = this.#attachAgain(error);
      this.#channel.catch(() => undefined);
    }
  }

  /** Types. Resolves when there is room for more. What is on its way when the agent's own process ends may be lost. */
  async write(bytes: Uint8Array): Promise<void> {
    await (await this.#channel).send(bytes, {}, this.#over.signal).catch(ignoreEnd);
  }

  /** No more input comes: the end of a pipe. A terminal has none. */
  async endInput(): Promise<void> {
    this.#inputEnded = true;
    (await this.#channel).end();
  }

  async resize(size: TerminalSize): Promise<void> {
    this.#size = size;
    await this.#control({ cols: size.cols, rows: size.rows });
  }

  /** Signals what runs in front. */
  async signal(signal: 'SIGINT' | 'SIGTERM' | 'SIGKILL' | 'SIGQUIT' | 'SIGHUP'): Promise<void> {
    await this.#control({ signal });
  }

  /** Detaches: the session goes on. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort(new ControlError('cancelled', 'detached'));
    const channel = await this.#channel.catch(() => undefined);
    channel?.close({ code: CloseReason.Ok, reason: 'detached' });
    await this.#tunnel?.close();
  }

  async *#read(channel: Channel): AsyncGenerator<SessionBytes> {
    let lostBytes = 0;
    for (;;) {
      const item = channel.take() ?? (await channel.read());
      if (item === undefined) return;
      if (item.kind === 'control') {
        const offset = SessionGap.safeParse(item.value).data?.offset ?? this.offset;
        lostBytes += Math.max(0, offset - this.offset);
        this.#offset = offset;
      } else if (item.kind === 'data') {
        const { offset } = this;
        this.#offset = offset + item.bytes.byteLength;
        yield { bytes: item.bytes, stderr: item.stderr, offset, lostBytes };
        lostBytes = 0;
      }
    }
  }

  async #control(value: SessionControl): Promise<void> {
    await (await this.#channel).control(value, this.#over.signal).catch(ignoreEnd);
  }

  async #attachOnce(takeover: boolean): Promise<Channel> {
    const tunnel = await this.#liveTunnel();
    const metadata = {
      session_id: this.sessionId,
      takeover,
      attach_id: this.#attachId,
      ...(this.#offset !== undefined && { since: this.#offset }),
    };
    const channel = await tunnel.channel(metadata, this.#over.signal);
    const { data: ack } = SessionChannelAck.safeParse(channel.metadata);
    if (ack === undefined) {
      const reason = 'the agent does not say where its output begins';
      channel.close({ code: CloseReason.ProtocolError, reason });
      throw new ControlError('protocol_error', reason);
    }
    this.#mode = ack.mode;
    // A gap that follows says what is missing; without an offset of one's own there is none.
    this.#offset ??= ack.offset;
    if (this.#inputEnded) channel.end();
    const size = this.#size;
    if (size !== undefined && (size.cols !== ack.cols || size.rows !== ack.rows))
      await channel.control({ cols: size.cols, rows: size.rows });
    return channel;
  }

  /** Takes the place that this end had before. */
  async #attachAgain(lost: ControlError): Promise<Channel> {
    const { onStatus, random = Math.random } = this.#options;
    let reason = lost.message;
    for (let failures = 0; ; failures += 1) {
      onStatus?.({ is: 'reconnecting', reason });
      await this.#clock.sleep(backoffMs(RETRY, failures, random), this.#over.signal);
      try {
        const channel = await this.#attachOnce(false);
        onStatus?.({ is: 'attached' });
        return channel;
      } catch (error) {
        this.#over.signal.throwIfAborted();
        if (!mayPass(error)) throw error;
        reason = error instanceof Error ? error.message : String(error);
      }
    }
  }

  async #liveTunnel(): Promise<OperatorTunnel> {
    if (this.#tunnel !== undefined) return this.#tunnel;
    const tunnel = await this.#openTunnel((status) => this.#tunnelStatus(status), this.#over.signal);
    this.#tunnel = tunnel;
    tunnel.ended
      .then(() => {
        if (this.#tunnel === tunnel) this.#tunnel = undefined;
      })
      .catch(() => undefined);
    return tunnel;
  }

  #tunnelStatus(status: TunnelStatus): void {
    const { onStatus } = this.#options;
    if (status.is === 'connected') onStatus?.({ is: 'attached' });
    else if (status.is === 'reconnecting') onStatus?.({ is: 'reconnecting', reason: status.reason });
  }
}

/** Whoever was replaced is told so; everything else is what the code of the CLOSE says. */
function errorOf(channel: Channel, end: ClosePayload): ControlError {
  if (end.code === CloseReason.Cancelled && end.reason === SESSION_TAKEN_OVER)
    return new ControlError('already_connected', 'somebody else has taken over');
  return closeError(channel.id, end);
}

function mayPass(error: unknown): boolean {
  return isPassing(error) || isAgentOffline(error) || (error instanceof ControlError && PASSING.has(error.code));
}

/** Of an end the reader hears. */
function ignoreEnd(error: unknown): void {
  if (!(error instanceof ControlError)) throw error;
}
