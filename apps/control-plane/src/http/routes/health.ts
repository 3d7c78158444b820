import type { FastifyRequest } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { ControlError } from '@drawbridge/protocol';
import type { Registry } from 'prom-client';
import { z } from 'zod';
import type { Readiness } from '../../observability/readiness.ts';

const NUMBERS_ACCESS = 'Open to this machine. From elsewhere it needs `metrics.token`, or the right `metrics.read`.';
const Alive = z.strictObject({ status: z.literal('ok') });
const Ready = z.strictObject({
  status: z.literal('ready'),
  checks: z.strictObject({
    store: z.enum(['ok', 'failed']),
    migrations: z.enum(['ok', 'pending', 'unknown']),
    draining: z.boolean(),
  }),
});

export interface HealthRoutesOptions {
  readonly readiness: () => Promise<Readiness>;
  /** Undefined when the numbers have a listener of their own: then `/metrics` is not found here. */
  readonly metrics: { readonly registry: Registry; readonly mayRead: MetricsGuard } | undefined;
}

/** Rejects with `unauthenticated` or `forbidden` unless the request may see the numbers. */
export type MetricsGuard = (request: FastifyRequest) => Promise<void>;

/** Whether the process lives, whether it can serve, and its numbers. The first two are public: they name nothing and nobody. */
export function healthRoutes({ readiness, metrics }: HealthRoutesOptions): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    const config = { public: true } as const;
    const alive = { summary: 'Whether the process lives', response: { 200: Alive } };
    app.get('/healthz', { config, schema: alive }, () => ({ status: 'ok' as const }));
    const ready = { summary: 'Whether it can serve: 503 says what is missing', response: { 200: Ready } };
    app.get('/readyz', { config, schema: ready }, async () => {
      const { isReady, checks } = await readiness();
      if (isReady) return { status: 'ready' as const, checks };
      const code = checks.draining ? 'server_draining' : 'store_unavailable';
      const message = checks.draining ? 'the server drains' : 'the store does not answer, or its schema is not whole';
      throw new ControlError(code, message, { details: { checks } });
    });
    if (metrics !== undefined) {
      // Public as far as the sign-in is concerned: the guard is stricter.
      const numbers = {
        config: { ...config, contentType: 'text/plain' },
        schema: { summary: 'The numbers, for Prometheus', description: NUMBERS_ACCESS },
      };
      app.get('/metrics', numbers, async (request, reply) => {
        await metrics.mayRead(request);
        return reply.type(metrics.registry.contentType).send(await metrics.registry.metrics());
      });
    }
    done();
  };
}
