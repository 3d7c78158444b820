/** One event as a stream of server-sent events carries it. Without `type` it only says how far the stream is. */
export interface StreamBlock {
  readonly id: string | undefined;
  readonly type: string | undefined;
  readonly data: string;
}

/** A longer event is none of ours. */
const BLOCK_CHARACTERS_MAX = 1_048_576;

/** Reads `text/event-stream` (WHATWG HTML, §9.2), however its text is cut into pieces. Throws for an event without end. */
export class EventStreamParser {
  readonly #decoder = new TextDecoder();
  #text = '';

  /** The events that are whole now. */
  push(bytes: Uint8Array): StreamBlock[] {
    this.#text += this.#decoder.decode(bytes, { stream: true });
    const blocks: StreamBlock[] = [];
    for (;;) {
      // A carriage return at the very end may be half of a line break.
      const end = /(?:\r\n|\n|\r(?!\n|$)){2}/.exec(this.#text);
      if (end === null) break;
      blocks.push(parseBlock(this.#text.slice(0, end.index)));
      this.#text = this.#text.slice(end.index + end[0].length);
    }
    if (this.#text.length > BLOCK_CHARACTERS_MAX) throw new Error('an event of the stream has no end');
    return blocks;
  }
}

function parseBlock(text: string): StreamBlock {
  const fields = new Map<string, string>();
  const data: string[] = [];
  for (const line of text.split(/\r\n|\n|\r/)) {
    const [, name = '', value = ''] = /^([^:]*)(?:: ?(.*))?$/.exec(line) ?? [];
    if (name === 'data') data.push(value);
    else if (name !== '') fields.set(name, value);
  }
  return { id: fields.get('id'), type: data.length === 0 ? undefined : fields.get('event'), data: data.join('\n') };
}
