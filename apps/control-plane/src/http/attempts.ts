import type { FastifyRequest } from 'fastify';
import { addressKey } from '../limits/address-key.ts';
import type { TokenBuckets } from '../limits/token-buckets.ts';

/** A route's `onRequest`: an attempt to sign in or to enrol, of one address. At the bound 429, with Retry-After. */
export function countAttempt(attempts: TokenBuckets) {
  return async (request: FastifyRequest): Promise<void> => {
    attempts.take(addressKey(request.ip));
  };
}
