import { ERROR_CODES } from '@drawbridge/protocol';
import { Counter } from 'prom-client';
import type { Registry } from 'prom-client';

/** Who turned somebody away: the HTTP API, an upgrade to WebSocket, the handshake of a link, or a tunnel's CONNECT. */
export type Door = 'api' | 'upgrade' | 'link' | 'tunnel';

const CODES: ReadonlySet<string> = new Set(ERROR_CODES);

/** The codes that mean: who this is, or that it may, was not shown. */
const AUTH_CODES = ['unauthenticated', 'auth_failed', 'forbidden', 'join_token_invalid'] as const;

/** Who was turned away, where and why: failed sign-ins, missing rights, limits that were hit. */
export class RefusalMetrics {
  readonly #refusals;

  constructor(registry: Registry) {
    this.#refusals = new Counter({
      name: 'drawbridge_refusals_total',
      help: 'Requests and connections that were refused, by where and by the code of the error.',
      labelNames: ['door', 'code'] as const,
      registers: [registry],
    });
    for (const door of ['api', 'upgrade', 'link', 'tunnel'] as const) {
      for (const code of [...AUTH_CODES, 'rate_limited']) this.#refusals.inc({ door, code }, 0);
    }
  }

  /** Counts one; a code nobody knows counts as `other`. */
  refused(door: Door, code: string): void {
    this.#refusals.inc({ door, code: CODES.has(code) ? code : 'other' });
  }
}
