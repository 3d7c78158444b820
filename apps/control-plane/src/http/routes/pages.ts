import { readFileSync } from 'node:fs';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';

const HTML = 'text/html; charset=utf-8';
const JAVASCRIPT = 'text/javascript; charset=utf-8';
const FILES = {
  '/': ['index.html', HTML],
  '/sign-in': ['index.html', HTML],
  '/login': ['index.html', HTML],
  '/page.js': ['page.js', JAVASCRIPT],
  '/page-api.js': ['page-api.js', JAVASCRIPT],
  '/page-lists.js': ['page-lists.js', JAVASCRIPT],
  '/page-sign-in.js': ['page-sign-in.js', JAVASCRIPT],
  '/page.css': ['page.css', 'text/css; charset=utf-8'],
} as const;

/** The built-in page: signs in, lets command lines in, shows agents and tasks. */
export function pageRoutes(): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    for (const [path, [file, type]] of Object.entries(FILES)) {
      const content = readFileSync(new URL(`../page/${file}`, import.meta.url), 'utf8');
      app.get(path, { config: { public: true }, schema: { hide: true } }, (_request, reply) =>
        reply.type(type).send(content),
      );
    }
    done();
  };
}
