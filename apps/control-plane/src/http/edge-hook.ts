import type { FastifyRequest } from 'fastify';
import type { Caller, Edge } from '../edge/edge.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who sent it, and to what; set once it has passed the edge. */
    caller: Caller | undefined;
  }
}

/** Fastify's first `onRequest`: what no route and no sign-in needs to see. */
export function edgeHook(edge: Edge) {
  return async (request: FastifyRequest): Promise<void> => {
    request.caller = edge.admit(request.raw);
  };
}

/** Who sent a request that has passed the edge, and to what. */
export function callerOf({ caller }: FastifyRequest): Caller {
  if (caller === undefined) throw new Error('this request has not passed the edge');
  return caller;
}
