import type { EventItem } from '../events/follow-events.ts';

/** How long a browser that lost the stream waits before it comes back. */
const RETRY_MS = 2_000;

/** The first words of a stream of server-sent events. */
export const STREAM_HEAD = `retry: ${RETRY_MS}\n\n`;

/** One item as server-sent events write it (WHATWG HTML, §9.2). JSON holds no line break, so nothing can break out of its line. */
export function eventText(item: EventItem): string {
  switch (item.kind) {
    case 'event':
      return block(item.lastId, item.event.type, item.event);
    case 'access':
      return block(item.lastId, 'access.changed', {
        id: item.lastId,
        type: 'access.changed',
        at: item.at,
        agent_id: null,
        resource: 'access:self',
        data: {},
      });
    case 'reset':
      return block(item.lastId, 'reset', {});
    case 'alive':
      return `: alive\nid: ${item.lastId}\n\n`;
    case 'error':
      return `event: error\ndata: ${JSON.stringify({ code: item.code, message: item.message })}\n\n`;
  }
}

function block(id: string, type: string, data: unknown): string {
  return `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
}
