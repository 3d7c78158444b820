import type { FastifyRequest } from 'fastify';
import { ControlError } from '@drawbridge/protocol';
import { secretHash } from '../operators/secrets.ts';

const KEY = /^[\x21-\x7e]{1,255}$/;

/**
 * The request's Idempotency-Key, if it has one, hashed: it is only ever compared, and programs make it of what they like. Throws
 * ControlError `invalid_request` for one that is no key.
 */
export function idempotencyKey(request: FastifyRequest): string | undefined {
  const header = request.headers['idempotency-key'];
  if (header === undefined) return undefined;
  if (typeof header === 'string' && KEY.test(header)) return secretHash(header);
  throw new ControlError('invalid_request', 'Idempotency-Key is 1 to 255 printable characters without spaces');
}
