import type { FastifyReply } from 'fastify';

/** Aborts when the client has gone, or has its whole answer. */
export function untilClosed(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  reply.raw.once('close', () => gone.abort(new Error('the client has gone')));
  return gone.signal;
}
