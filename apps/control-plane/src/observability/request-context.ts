import { AsyncLocalStorage } from 'node:async_hooks';

/** What a line of the log, or a span, says about the request that caused it. */
export interface RequestContext {
  readonly requestId: string;
  /** The span of the request, or the one its caller named; undefined without either. */
  readonly traceparent: string | undefined;
}

const storage = new AsyncLocalStorage<RequestContext>();

/** Runs `work`, and all it awaits, as part of a request. */
export function inRequest<Result>(context: RequestContext, work: () => Result): Result {
  return storage.run(context, work);
}

/**
 * The request that is being served. Ask where something is made, and remember the answer with it: what a request wakes up,
 * as delivery, goes on in its context and serves others too.
 */
export function currentRequest(): RequestContext | undefined {
  return storage.getStore();
}
