import { AgentMessage, FrameType, ServerMessage } from '@drawbridge/protocol';
import { Counter } from 'prom-client';
import type { Registry } from 'prom-client';

/** As the control plane sees it: `in` is what agents say. */
export type Direction = 'in' | 'out';

interface Tally {
  messages: number;
  bytes: number;
}

type Tallies = ReadonlyMap<string | number, Tally>;

/** What is of no type we know. */
const OTHER = 'other';

/**
 * Counts WebSocket messages by their type. This is the hottest path of all, so it adds to plain numbers; they become
 * metrics when somebody asks.
 */
export class MessageTraffic {
  readonly #links = { in: tallies(typesOf(AgentMessage)), out: tallies(typesOf(ServerMessage)) } as const;
  readonly #frames = { in: tallies(Object.values(FrameType)), out: tallies(Object.values(FrameType)) } as const;

  constructor(registry: Registry) {
    const labelNames = ['socket', 'direction', 'type'] as const;
    const messages = new Counter({
      name: 'drawbridge_ws_messages_total',
      help: 'WebSocket messages of control links and tunnel legs, by type.',
      labelNames,
      registers: [registry],
      collect: () => {
        messages.reset();
        for (const [labels, tally] of this.#series()) messages.inc(labels, tally.messages);
      },
    });
    const bytes = new Counter({
      name: 'drawbridge_ws_bytes_total',
      help: 'Bytes of WebSocket messages of control links and tunnel legs, by type of message.',
      labelNames,
      registers: [registry],
      collect: () => {
        bytes.reset();
        for (const [labels, tally] of this.#series()) bytes.inc(labels, tally.bytes);
      },
    });
  }

  /** One message of a control link. */
  link(direction: Direction, type: string, bytes: number): void {
    count(this.#links[direction], type, bytes);
  }

  /** One frame of a tunnel's leg; `type` is the frame's second byte, whatever it says. */
  frame(direction: Direction, type: number, bytes: number): void {
    count(this.#frames[direction], type, bytes);
  }

  *#series(): Iterable<[labels: { socket: string; direction: string; type: string }, tally: Tally]> {
    for (const direction of ['in', 'out'] as const) {
      for (const [type, tally] of this.#links[direction]) {
        yield [{ socket: 'link', direction, type: String(type) }, tally];
      }
      for (const [type, tally] of this.#frames[direction]) {
        yield [{ socket: 'tunnel', direction, type: FRAME_NAMES.get(type) ?? OTHER }, tally];
      }
    }
  }
}

const FRAME_NAMES: ReadonlyMap<string | number, string> = new Map(
  Object.entries(FrameType).map(([name, type]) => [type, snakeCase(name)]),
);

function tallies(types: readonly (string | number)[]): Tallies {
  return new Map([...types, OTHER].map((type) => [type, { messages: 0, bytes: 0 }]));
}

function count(counts: Tallies, type: string | number, bytes: number): void {
  const tally = counts.get(type) ?? counts.get(OTHER);
  if (tally === undefined) return;
  tally.messages += 1;
  tally.bytes += bytes;
}

function typesOf({ options }: typeof AgentMessage | typeof ServerMessage): string[] {
  return options.map(({ shape }) => shape.type.value);
}

/** `channel_open` of `ChannelOpen`. */
function snakeCase(name: string): string {
  return name.replace(/(?<=[a-z])[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
}
