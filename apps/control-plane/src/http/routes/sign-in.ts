import { readFileSync } from 'node:fs';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { ControlError } from '@drawbridge/protocol';
import { authorise } from '../../operators/authorise.ts';
import { SESSION_MS } from '../../operators/sign-in.ts';
import type { SignIn } from '../../operators/sign-in.ts';
import { attemptsOf } from '../attempts.ts';
import { actorOf, cookieName } from '../authenticate.ts';

const Body = z.strictObject({ code: z.string().min(1).max(128) });

/** The one-time link's exchange for a session, and the way out. */
export function signInRoutes(
  signIn: SignIn,
  { isTls, publicUrl, attemptsPerMinute }: { isTls: boolean; publicUrl: () => string; attemptsPerMinute: number },
): FastifyPluginCallbackZod {
  const cookie = { path: '/', httpOnly: true, sameSite: 'strict', secure: isTls } as const;
  return (app, _options, done) => {
    app.post(
      '/sign-in',
      { schema: { body: Body }, config: { public: true, rateLimit: attemptsOf(attemptsPerMinute) } },
      async (request, reply) => {
        const session = await signIn.redeem(request.body.code);
        if (session === undefined)
          throw new ControlError('unauthenticated', 'this sign-in link was used before, or is too old');
        return reply
          .setCookie(cookieName(isTls), session, { ...cookie, maxAge: SESSION_MS / 1000 })
          .code(204)
          .send();
      },
    );
    // Another link, for whoever can prove to be the admin already.
    app.post('/sign-in-links', (request, reply) => {
      authorise(actorOf(request), 'admin.sign-in', {});
      return reply.code(201).send({ url: `${publicUrl()}/sign-in#${signIn.issueCode()}` });
    });
    app.post('/sign-out', async (request, reply) => {
      const session = request.cookies[cookieName(isTls)];
      if (session !== undefined) await signIn.signOut(session);
      return reply.clearCookie(cookieName(isTls), cookie).code(204).send();
    });
    app.get('/whoami', (request) => actorOf(request));
    done();
  };
}

const FILES = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/sign-in': ['index.html', 'text/html; charset=utf-8'],
  '/page.js': ['page.js', 'text/javascript; charset=utf-8'],
  '/page.css': ['page.css', 'text/css; charset=utf-8'],
} as const;

/** The built-in page: signs in with the one-time link, shows agents and tasks. */
export function pageRoutes(): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    for (const [path, [file, type]] of Object.entries(FILES)) {
      const content = readFileSync(new URL(`../page/${file}`, import.meta.url), 'utf8');
      app.get(path, { config: { public: true } }, (_request, reply) => reply.type(type).send(content));
    }
    done();
  };
}
