import type { FastifyRequest } from 'fastify';
import type { Secret } from '@drawbridge/runtime';
import { bearerOf } from '../edge/headers.ts';
import { CONTROL_PLANE } from '../operators/authorise.ts';
import type { Principals } from '../operators/principals.ts';
import { permit } from './permit.ts';
import type { MetricsGuard } from './routes/health.ts';

const LOOPBACK = /^(::1|(::ffff:)?127\.\d+\.\d+\.\d+)$/;

/** What a proxy on this machine adds to what it forwards: then the client is somebody else. */
const FORWARDED = ['forwarded', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip'];

export interface MetricsReaders {
  /** `metrics.token` of the configuration. */
  readonly token: Secret | undefined;
  readonly principals: Pick<Principals, 'bySecret'>;
}

/** Lets in who reads the numbers from this very machine, who brings `metrics.token`, and whose API token may `metrics.read`. */
export function mayReadMetrics({ token, principals }: MetricsReaders): MetricsGuard {
  return async (request) => {
    if (isFromThisMachine(request)) return;
    const bearer = bearerOf(request);
    if (bearer !== undefined && token?.equals(bearer) === true) return;
    request.actor = bearer === undefined ? undefined : await principals.bySecret(bearer);
    permit(request, CONTROL_PLANE, 'metrics.read');
  };
}

function isFromThisMachine({ raw }: Pick<FastifyRequest, 'raw'>): boolean {
  return LOOPBACK.test(raw.socket.remoteAddress ?? '') && FORWARDED.every((name) => raw.headers[name] === undefined);
}
