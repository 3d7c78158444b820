import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { ControlError } from '@drawbridge/protocol';
import type { Registry } from 'prom-client';

/** Whether the process lives, whether it can serve, and its numbers. Public: they name nothing and nobody. */
export function healthRoutes(isReady: () => Promise<boolean>, metrics: Registry): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.get('/healthz', { config: { public: true } }, () => ({ status: 'ok' }));
    app.get('/readyz', { config: { public: true } }, async () => {
      if (!(await isReady()))
        throw new ControlError('store_unavailable', 'the store does not answer, or the server drains');
      return { status: 'ready' };
    });
    app.get('/metrics', { config: { public: true } }, async (_request, reply) => {
      return reply.type(metrics.contentType).send(await metrics.metrics());
    });
    done();
  };
}
