import type { Clock, MessageSocket, SocketEnd, Timer } from '@drawbridge/link';
import { AgentMessage, ProtocolError, WsClose, decodeMessage, unreachable } from '@drawbridge/protocol';
import type { HeartbeatPayload } from '@drawbridge/protocol';
import type { LiveLink } from '../agents/presence.ts';
import type { LinkMetrics } from '../observability/link-metrics.ts';
import { sendMessage } from './send-message.ts';
import type { AgentInbox } from './agent-inbox.ts';
import { MessagePace } from './message-pace.ts';

/** Messages that wait for the store; with more the link is not read until they are done. */
const INBOX_MESSAGES_MAX = 64;

export interface AgentLinkOptions {
  readonly socket: MessageSocket;
  readonly clock: Clock;
  readonly inbox: AgentInbox;
  readonly metrics: LinkMetrics;
  readonly agentId: string;
  readonly epoch: number;
  readonly journalId: string;
  readonly instance: string | undefined;
  readonly journalOutdated: boolean;
  readonly onError: (error: unknown) => void;
}

/**
 * One authenticated control link. Messages are handled strictly in their order, one at a time, heartbeats at once. It ends
 * when its socket does; `ended` never rejects.
 */
export class AgentLink implements LiveLink {
  readonly agentId: string;
  readonly epoch: number;
  readonly journalId: string;
  readonly instance: string | undefined;
  readonly journalOutdated: boolean;
  readonly unacknowledged = new Set<string>();
  readonly ended: Promise<SocketEnd>;
  health: HeartbeatPayload | undefined;
  heardMs: number;
  readonly #socket: MessageSocket;
  readonly #clock: Clock;
  readonly #inbox: AgentInbox;
  readonly #metrics: LinkMetrics;
  readonly #onError: (error: unknown) => void;
  #handling: Promise<void> = Promise.resolve();
  readonly #pace: MessagePace;
  #waiting = 0;
  /** Why the socket is not read: a full inbox, or too fast an agent. */
  readonly #holds = new Set<'inbox' | 'pace'>();
  #paceTimer: Timer | undefined;
  #isOver = false;

  constructor(options: AgentLinkOptions) {
    this.agentId = options.agentId;
    this.epoch = options.epoch;
    this.journalId = options.journalId;
    this.instance = options.instance;
    this.journalOutdated = options.journalOutdated;
    this.heardMs = options.clock.monotonic();
    this.#socket = options.socket;
    this.#clock = options.clock;
    this.#pace = new MessagePace(options.clock);
    this.#inbox = options.inbox;
    this.#metrics = options.metrics;
    this.#onError = options.onError;
    const { promise, resolve } = Promise.withResolvers<SocketEnd>();
    this.ended = promise;
    promise
      .then(() => {
        this.#isOver = true;
        this.#paceTimer?.cancel();
      })
      .catch(() => undefined);
    this.#closed = resolve;
  }

  readonly #closed: (end: SocketEnd) => void;

  /** What waits on this link: messages for the store, of which a full inbox takes no more, and bytes for the network. */
  get backlog(): { readonly messages: number; readonly isFull: boolean; readonly bytes: number } {
    const messages = this.#waiting;
    return { messages, isFull: messages >= INBOX_MESSAGES_MAX, bytes: this.#socket.bufferedBytes };
  }

  /** Starts to read. Whoever made the link has made it known by now. */
  listen(): void {
    this.#socket.listen({
      message: (message) => this.#receive(message),
      alive: () => (this.heardMs = this.#clock.monotonic()),
      closed: (end) => this.#closed(end),
    });
  }

  send(type: string, payload: unknown, id?: string): void {
    if (this.#isOver) return;
    this.#metrics.traffic.link('out', type, sendMessage(this.#socket, this.#clock, type, payload, id));
  }

  end(code: number, reason: string): void {
    this.#isOver = true;
    this.#socket.close(code, reason);
  }

  /** Drops the connection without a word: nothing was heard for too long. */
  terminate(): void {
    this.#isOver = true;
    this.#socket.terminate();
  }

  #receive(text: string | Uint8Array): void {
    if (this.#isOver) return;
    this.#keepPace(text.length);
    try {
      if (typeof text !== 'string') throw new ProtocolError('message_binary', 'binary where text is expected');
      const decoded = decodeMessage(AgentMessage, text);
      this.#metrics.traffic.link('in', decoded.ok ? decoded.message.type : 'other', Buffer.byteLength(text));
      if (decoded.ok) this.#handle(decoded.message);
      else
        this.send('error', {
          code: 'invalid_message',
          message: decoded.reason,
          ...(decoded.ref === undefined ? {} : { ref: decoded.ref }),
        });
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.end(error.code === 'message_json' ? WsClose.InvalidPayload : WsClose.UnsupportedData, error.code);
    }
  }

  #handle(message: AgentMessage): void {
    if (message.type === 'heartbeat') {
      this.health = message.payload;
      this.#metrics.heartbeat(this.agentId, message.payload);
      this.send('heartbeat', { time: new Date(this.#clock.now()).toISOString() }, message.id);
      return;
    }
    this.#waiting += 1;
    if (this.#waiting === INBOX_MESSAGES_MAX) this.#hold('inbox');
    this.#handling = this.#handling
      .then(() => dispatch(message, this, this.#inbox))
      .catch((error: unknown) => this.#failed(error))
      .finally(() => {
        if (this.#waiting === INBOX_MESSAGES_MAX) this.#release('inbox');
        this.#waiting -= 1;
      });
  }

  /** An agent that talks too fast is read no more for a while; it is never cut off for it. */
  #keepPace(lengthBytes: number): void {
    const waitMs = this.#pace.heard(lengthBytes);
    if (waitMs === 0) return;
    this.#paceTimer?.cancel();
    this.#paceTimer = this.#clock.after(waitMs, () => this.#release('pace'));
    this.#hold('pace');
  }

  #hold(why: 'inbox' | 'pace'): void {
    if (this.#holds.size === 0) this.#socket.pause();
    this.#holds.add(why);
  }

  #release(why: 'inbox' | 'pace'): void {
    this.#holds.delete(why);
    if (this.#holds.size === 0) this.#socket.resume();
  }

  /** What could not be stored is not acknowledged: the agent sends it again on the next link. */
  #failed(error: unknown): void {
    this.#onError(error);
    this.end(WsClose.TryAgainLater, 'store unavailable');
  }
}

/** One line per message: read this to know everything an agent can tell the control plane. */
async function dispatch(message: AgentMessage, link: AgentLink, inbox: AgentInbox): Promise<void> {
  if (!inbox.isCurrent(link)) return;
  switch (message.type) {
    case 'ack':
      return 'command_id' in message.payload
        ? inbox.started(link, message.payload.command_id)
        : inbox.settingsTaken(link, message.payload.ref, message.payload.applied);
    case 'command_response':
      return inbox.ended(link, message.id, message.payload);
    case 'event':
      return inbox.event(link, message.payload);
    case 'telemetry':
      return inbox.telemetry(link, message.payload.samples);
    case 'error':
      return inbox.error(link, message.payload);
    case 'disconnect':
      return inbox.disconnect(link, message.payload.reason);
    case 'auth':
      return link.send('error', { code: 'invalid_message', message: 'already authenticated', ref: message.id });
    case 'heartbeat':
      return;
    default:
      unreachable(message);
  }
}
