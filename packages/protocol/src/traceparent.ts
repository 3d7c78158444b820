import { z } from 'zod';

/** Where in whose trace something happens: W3C trace context, version 00. Ids of nothing but zeros are no ids. */
export const Traceparent = z.string().regex(/^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/);

/** The trace a `Traceparent` belongs to; undefined without one. */
export function traceIdOf(traceparent: string | undefined): string | undefined {
  return traceparent?.split('-')[1];
}
