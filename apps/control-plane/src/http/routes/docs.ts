import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { docsPage } from '../docs-page.ts';

/** The API's own description, for programs and for people. It is made once, when somebody first asks. */
export function docsRoutes(): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    const config = { public: true } as const;
    let page: string | undefined;
    app.get('/openapi.json', { config, schema: { hide: true } }, () => app.swagger());
    app.get('/docs', { config, schema: { hide: true } }, (_request, reply) => {
      page ??= docsPage(app.swagger());
      return reply.type('text/html; charset=utf-8').send(page);
    });
    done();
  };
}
