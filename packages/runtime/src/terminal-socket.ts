import type { Channel, ChannelItem, MessageSocket } from '@drawbridge/link';
import {
  CloseReason,
  SessionChannelAck,
  SessionGap,
  TerminalFrame,
  TerminalRequest,
  WsClose,
} from '@drawbridge/protocol';
import type { ClosePayload, TerminalMessage } from '@drawbridge/protocol';

/** Output that the socket has not sent yet: past it, the channel is read no further. */
const UNSENT_BYTES_MAX = 256 * 1024;
/** Live output in one message at most. */
const LIVE_BYTES_MAX = 32_768;
/** What was there already comes in messages of this size at most: a ring of the usual size is one. */
const REPLAY_BYTES_MAX = 1024 * 1024;
/** What a process that a signal ended exits with here. */
const EXIT_CODE_OF_A_SIGNAL = -1;

/**
 * Speaks the WebSocket's side of a session (PROTOCOL.md §4.2): carries an attached `session` channel to it and back until either is over,
 * and ends the other accordingly. Resolves when both are; never rejects.
 */
export async function serveTerminal(socket: MessageSocket, channel: Channel, sessionId: string): Promise<void> {
  await new TerminalSocket(socket, channel, sessionId).run();
}

class TerminalSocket {
  readonly #socket: MessageSocket;
  readonly #channel: Channel;
  readonly #sessionId: string;
  readonly #closed = Promise.withResolvers<void>();
  #isClosed = false;
  #drained = Promise.withResolvers<void>();

  constructor(socket: MessageSocket, channel: Channel, sessionId: string) {
    this.#socket = socket;
    this.#channel = channel;
    this.#sessionId = sessionId;
  }

  async run(): Promise<void> {
    this.#socket.listen({
      message: (message) => this.#heard(message),
      drained: () => this.#drained.resolve(),
      closed: () => {
        this.#isClosed = true;
        this.#drained.resolve();
        this.#channel.close({ code: CloseReason.Ok, reason: 'the viewer is gone' });
        this.#closed.resolve();
      },
    });
    const ack = SessionChannelAck.safeParse(this.#channel.metadata);
    if (ack.success) await this.#show(ack.data);
    else this.#socket.close(WsClose.InternalError, 'the agent does not say where its output begins');
    await this.#closed.promise;
  }

  async #show({ offset, end, mode }: SessionChannelAck): Promise<void> {
    const live = await this.#replay(offset, end);
    this.#say({ type: 'connected', session_id: this.#sessionId, mode });
    for (const item of live) this.#print(item);
    await this.#follow();
    this.#goodbye(await this.#channel.ended);
  }

  /** Sends what was there already, as one message unless it is much; resolves with what came behind it. */
  async #replay(offset: number, end: number): Promise<ChannelItem[]> {
    const parts: Uint8Array[] = [];
    let from = offset;
    let size = 0;
    let rest: ChannelItem[] = [];
    while (from + size < end) {
      const item = await this.#channel.read();
      if (item === undefined) break;
      const gap = gapOf(item);
      if (gap !== undefined) {
        // What was to come is gone meanwhile: the replay is as old as it can be.
        parts.length = 0;
        from = gap;
        size = 0;
      }
      if (item.kind !== 'data') continue;
      const old = item.bytes.subarray(0, end - from - size);
      parts.push(old);
      size += old.byteLength;
      if (size >= REPLAY_BYTES_MAX) {
        this.#socket.send(replayMessage(from, Buffer.concat(parts)));
        from += size;
        offset = from;
        size = 0;
        parts.length = 0;
        await this.#untilSent();
      }
      if (old.byteLength < item.bytes.byteLength) rest = [{ ...item, bytes: item.bytes.subarray(old.byteLength) }];
    }
    if (size > 0 || from !== offset) this.#socket.send(replayMessage(from, Buffer.concat(parts)));
    return rest;
  }

  async #follow(): Promise<void> {
    for (;;) {
      const item = this.#channel.take() ?? (await this.#channel.read());
      if (item === undefined) return;
      this.#print(item);
      await this.#untilSent();
    }
  }

  async #untilSent(): Promise<void> {
    while (this.#socket.bufferedBytes > UNSENT_BYTES_MAX && !this.#isClosed) {
      this.#drained = Promise.withResolvers();
      await this.#drained.promise;
    }
  }

  #print(item: ChannelItem): void {
    const gap = gapOf(item);
    if (gap !== undefined) this.#socket.send(replayMessage(gap, NOTHING));
    if (item.kind !== 'data') return;
    const kind = item.stderr ? TerminalFrame.Stderr : TerminalFrame.Stdout;
    for (let at = 0; at < item.bytes.byteLength; at += LIVE_BYTES_MAX)
      this.#socket.send(Buffer.concat([Buffer.of(kind), item.bytes.subarray(at, at + LIVE_BYTES_MAX)]));
  }

  #heard(message: string | Uint8Array): void {
    if (typeof message === 'string') return this.#request(message);
    // What is nothing of ours changes nothing.
    if (message.byteLength > 1 && message[0] === TerminalFrame.Stdin) this.#type(message.subarray(1));
  }

  #request(text: string): void {
    const json = parseJson(text);
    if (json === undefined) return;
    const request = TerminalRequest.safeParse(json);
    if (!request.success) return this.#unknown(json);
    switch (request.data.type) {
      case 'stdin':
        return this.#type(Buffer.from(request.data.data));
      case 'resize':
        return this.#control({ cols: request.data.cols, rows: request.data.rows });
      case 'signal':
        return this.#control({ signal: request.data.signal });
      case 'ping':
        return this.#answer({ type: 'pong' });
      default:
        return request.data satisfies never;
    }
  }

  /** A type that is none is told; a known one with something wrong in it is passed over. */
  #unknown(json: Readonly<Record<string, unknown>>): void {
    const { type } = json;
    if (KNOWN_TYPES.has(type)) return;
    const shown = typeof type === 'string' ? type.slice(0, 64) : typeof type;
    const error = `unknown frame type ${JSON.stringify(shown)}`;
    this.#answer({ type: 'error', error, code: 'INVALID_FRAME' });
  }

  #type(bytes: Uint8Array): void {
    try {
      if (this.#channel.push(bytes)) return;
    } catch {
      // The channel has ended, and says so itself.
      return;
    }
    this.#waitFor(this.#channel.room());
  }

  #control(value: Record<string, unknown>): void {
    this.#waitFor(this.#channel.control(value));
  }

  /** Nothing more is heard until the session takes it. */
  #waitFor(room: Promise<void>): void {
    this.#socket.pause();
    const resume = () => this.#socket.resume();
    room.then(resume, resume);
  }

  /** Who asks and does not read the answers gets no pile of them. */
  #answer(message: TerminalMessage): void {
    if (this.#socket.bufferedBytes <= UNSENT_BYTES_MAX) this.#say(message);
  }

  #say(message: TerminalMessage): void {
    this.#socket.send(`${JSON.stringify(message)}\n`);
  }

  #goodbye({ code, reason, exit_code: exitCode }: ClosePayload): void {
    if (code === CloseReason.Ok) {
      this.#say({ type: 'exit', exit_code: exitCode ?? EXIT_CODE_OF_A_SIGNAL });
      this.#socket.close(WsClose.Normal, 'process exited');
    } else if (code === CloseReason.Cancelled) this.#socket.close(WsClose.Superseded, reason.toUpperCase());
    // Nothing is lost: who comes back with `since` goes on where this ended.
    else this.#socket.close(WsClose.TryAgainLater, reason);
  }
}

const NOTHING = new Uint8Array();
const KNOWN_TYPES: ReadonlySet<unknown> = new Set(TerminalRequest.options.map(({ shape }) => shape.type.value));

function gapOf(item: ChannelItem): number | undefined {
  return item.kind === 'control' ? SessionGap.safeParse(item.value).data?.offset : undefined;
}

function replayMessage(offset: number, bytes: Uint8Array): Uint8Array {
  const message = Buffer.alloc(9 + bytes.byteLength);
  message[0] = TerminalFrame.Replay;
  message.writeBigUInt64BE(BigInt(offset), 1);
  message.set(bytes, 9);
  return message;
}

/** Undefined for what is no JSON object. */
function parseJson(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === 'object' && json !== null ? { ...json } : undefined;
  } catch {
    return undefined;
  }
}
