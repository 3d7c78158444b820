import { Readable } from 'node:stream';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import type { Clock } from '@drawbridge/link';
import { ControlError } from '@drawbridge/protocol';
import { EventTopic } from '@drawbridge/protocol/api';
import { z } from 'zod';
import type { EventItem, EventStreams } from '../../events/follow-events.ts';
import { EVENT_LIMITS } from '../../events/limits.ts';
import { rightToFollow } from '../../events/may-see.ts';
import { actorOf } from '../authenticate.ts';
import { STREAM_HEAD, eventText } from '../event-text.ts';
import { permit } from '../permit.ts';

/** Small: what waits here is bytes that are written already, not events that could still be left out. */
const BUFFER_BYTES = 16_384;

const Query = z.strictObject({
  types: z
    .string()
    .max(255)
    .default('')
    .transform((text) => text.split(',').filter((part) => part !== ''))
    .pipe(z.array(EventTopic))
    .describe(`what events are about, joined by commas: ${EventTopic.options.join(', ')}; empty: all`),
  last_event_id: z
    .string()
    .max(64)
    .optional()
    .describe('goes on after this event; the header Last-Event-ID is stronger'),
});

/** What happens, as it happens: everything the caller may see. */
export function eventRoutes(streams: EventStreams, clock: Clock): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.get(
      '/events',
      {
        config: { verb: 'agent.read', contentType: 'text/event-stream' },
        exposeHeadRoute: false,
        schema: { summary: 'Server-sent events: every change the caller may see', querystring: Query },
      },
      (request, reply) => {
        const right = rightToFollow(actorOf(request));
        const actor = permit(request, right.resource, right.verb);
        const { types, last_event_id: given } = request.query;
        const header = request.headers['last-event-id'];
        const lastEventId = typeof header === 'string' && header !== '' ? header : given;
        const gone = new AbortController();
        reply.raw.once('close', () => gone.abort(new Error('the client has gone')));
        const items = streams.follow({ actor, topics: new Set(types), lastEventId }, gone.signal);
        const cutOff = () => reply.raw.destroy();
        reply.header('content-type', 'text/event-stream; charset=utf-8');
        reply.header('cache-control', 'no-store, no-transform').header('x-accel-buffering', 'no');
        return reply.send(
          Readable.from(textsOf(items, clock, cutOff), { objectMode: false, highWaterMark: BUFFER_BYTES }),
        );
      },
    );
    done();
  };
}

/** What to write. A reader that takes nothing is cut off after a while: `cutOff` is called. */
async function* textsOf(items: AsyncIterable<EventItem>, clock: Clock, cutOff: () => void): AsyncIterable<string> {
  yield STREAM_HEAD;
  try {
    for await (const item of items) {
      const stalled = clock.after(EVENT_LIMITS.stalledMs, cutOff);
      try {
        yield eventText(item);
      } finally {
        stalled.cancel();
      }
    }
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    yield eventText({ kind: 'error', code: error.code, message: error.message });
  }
}
