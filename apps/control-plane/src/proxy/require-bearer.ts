import type { IncomingMessage } from 'node:http';
import { ControlError } from '@drawbridge/protocol';
import { bearerOf } from '../edge/headers.ts';

/**
 * Throws ControlError `forbidden` for somebody who has only a cookie. What a machine serves is hostile to the console, and a browser sends
 * the console's cookie by itself, never a bearer token.
 */
export function requireBearer(request: Pick<IncomingMessage, 'headers'>): void {
  if (bearerOf(request) !== undefined) return;
  throw new ControlError(
    'forbidden',
    'services behind agents are not served to the cookie of the console: send "Authorization: Bearer <API token>"',
  );
}
