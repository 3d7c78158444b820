import type { Channel, ChannelItem } from '@drawbridge/link';
import { SessionChannelAck, TerminalMessage } from '@drawbridge/protocol';
import type { ClosePayload } from '@drawbridge/protocol';
import { settle, socketPair, tunnelPair } from '@drawbridge/testkit';
import type { SocketPair, TunnelPair } from '@drawbridge/testkit';
import { serveTerminal } from './terminal-socket.ts';

/** A message to a viewer, in short: of JSON the object, of bytes what they are. */
export type Shown =
  | TerminalMessage
  | { readonly kind: 'stdout' | 'stderr'; readonly text: string }
  | { readonly kind: 'replay'; readonly offset: number; readonly text: string };

/** What is said at once by who says much. */
export const PART = 'x'.repeat(64 * 1024);

/** A viewer on one side, a session's agent on the other, and what is tested between them. */
export class TerminalStory implements AsyncDisposable {
  readonly shown: Shown[] = [];
  /** The WebSocket: `a` is the server's end. */
  readonly sockets: SocketPair = socketPair();
  readonly tunnel: TunnelPair;
  /** The agent's end of the channel. */
  readonly agent: Channel;
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  /** What `serveTerminal` promised. */
  readonly served: Promise<void>;

  private constructor(tunnel: TunnelPair, agent: Channel, near: Channel) {
    this.tunnel = tunnel;
    this.agent = agent;
    const { promise, resolve } = Promise.withResolvers<{ readonly code: number; readonly reason: string }>();
    this.closed = promise;
    this.sockets.b.listen({ message: (message) => this.shown.push(shownAs(message)), closed: resolve });
    this.served = serveTerminal(this.sockets.a, near, 'session-1');
  }

  /** `ack`: what the agent accepts the channel with; by default there is no output yet. */
  static async begin(ack: Partial<SessionChannelAck> | { readonly offset: unknown } = {}): Promise<TerminalStory> {
    const accepted: Channel[] = [];
    const metadata = { offset: 0, end: 0, mode: 'pty', cols: 80, rows: 24, ...ack };
    const tunnel = tunnelPair({ accept: (offer) => void accepted.push(offer.accept(metadata)) });
    const near = await tunnel.operator.open({ protocol: 'session' });
    const [agent] = accepted;
    if (agent === undefined) throw new Error('nobody accepted the channel');
    const story = new TerminalStory(tunnel, agent, near);
    await settle();
    return story;
  }

  /** One that is past `connected`. */
  static async connected(): Promise<TerminalStory> {
    const story = await TerminalStory.begin();
    story.shown.length = 0;
    return story;
  }

  /** The viewer sends a message; an object as JSON. */
  async say(message: string | Uint8Array | Readonly<Record<string, unknown>>): Promise<void> {
    const isObject = typeof message === 'object' && !(message instanceof Uint8Array);
    this.sockets.b.send(isObject ? JSON.stringify(message) : message);
    await settle();
  }

  /** The session prints. */
  async print(text: string, stderr = false): Promise<void> {
    await this.agent.send(Buffer.from(text, 'latin1'), { stderr });
    await settle();
  }

  /** The session prints until it has to wait; says how many bytes that were. */
  async printUntilFull(): Promise<number> {
    let bytes = PART.length;
    for (; this.agent.push(Buffer.from(PART)); bytes += PART.length) await settle();
    return bytes;
  }

  async tell(control: Readonly<Record<string, unknown>>): Promise<void> {
    await this.agent.control(control);
    await settle();
  }

  /** The session ends the channel; resolves with how the viewer's socket was closed. */
  async close(end: ClosePayload): Promise<{ readonly code: number; readonly reason: string }> {
    this.agent.close(end);
    return this.closed;
  }

  /** All that has come to the session and was not read before. */
  heard(): unknown[] {
    const heard: unknown[] = [];
    for (let item = this.agent.take(); item !== undefined; item = this.agent.take()) heard.push(said(item));
    return heard;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.sockets.cut();
    await this.tunnel[Symbol.asyncDispose]();
    await this.served;
  }
}

export const CONNECTED: Shown = { type: 'connected', session_id: 'session-1', mode: 'pty' };
export const stdout = (text: string): Shown => ({ kind: 'stdout', text });
export const stderr = (text: string): Shown => ({ kind: 'stderr', text });
export const replay = (offset: number, text: string): Shown => ({ kind: 'replay', offset, text });

/** By the bytes of PROTOCOL.md, and not by the constants of the code. */
function shownAs(message: string | Uint8Array): Shown {
  if (typeof message === 'string') return TerminalMessage.parse(JSON.parse(message));
  const bytes = Buffer.from(message);
  if (bytes[0] === 1) return stdout(bytes.toString('latin1', 1));
  if (bytes[0] === 2) return stderr(bytes.toString('latin1', 1));
  if (bytes[0] === 3) return replay(Number(bytes.readBigUInt64BE(1)), bytes.toString('latin1', 9));
  throw new Error(`no message of a terminal: ${bytes.toString('hex', 0, 16)}`);
}

function said(item: ChannelItem): unknown {
  if (item.kind === 'data') return Buffer.from(item.bytes).toString('latin1');
  return item.kind === 'control' ? item.value : item.kind;
}
