import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { PlainName, RoleBinding, UserView, pageOf } from '@drawbridge/protocol/api';
import { CONTROL_PLANE } from '../../operators/authorise.ts';
import type { Sessions } from '../../operators/sessions.ts';
import type { SignInLinks } from '../../operators/sign-in-links.ts';
import type { Users } from '../../operators/users.ts';
import { Page, page } from '../page.ts';
import { noteAudit, permit } from '../permit.ts';

const Params = z.strictObject({ user: z.string().min(1).max(64).describe('id or name of the user') });
const Roles = z.array(RoleBinding.extend({ selector: z.string().max(2048).default('') })).max(32);
const Password = z.string().max(1024);
const NewUser = z.strictObject({ name: PlainName, password: Password.optional(), roles: Roles.default([]) });
const Change = z.strictObject({
  name: PlainName.optional(),
  password: Password.optional(),
  roles: Roles.optional(),
  disabled: z.boolean().optional(),
});
const LinkView = z.object({ url: z.string() });

export interface UserRouteParts {
  readonly users: Users;
  readonly sessions: Sessions;
  readonly links: SignInLinks;
  readonly publicUrl: () => string;
}

/** People, for those who look after them. */
export function userRoutes({ users, sessions, links, publicUrl }: UserRouteParts): FastifyPluginCallbackZod {
  const config = { verb: 'admin.users' } as const;
  return (app, _options, done) => {
    app.get(
      '/users',
      { config, schema: { summary: 'Users, by name', querystring: Page, response: { 200: pageOf(UserView) } } },
      async (request) => {
        permit(request, CONTROL_PLANE);
        const { limit, cursor } = request.query;
        return page(await users.list(limit + 1, cursor), limit, (last) => last.name);
      },
    );
    app.post(
      '/users',
      {
        config: { ...config, creates: true },
        schema: {
          summary: 'Makes a user; without a password, a sign-in link lets them choose one',
          body: NewUser,
          response: { 201: UserView },
        },
      },
      async (request, reply) => {
        const actor = permit(request, CONTROL_PLANE);
        const { name, password, roles } = request.body;
        const user = await users.create({ name, password, roles }, actor);
        noteAudit(request, { resource: `user:${user.id}`, details: { user_name: name, roles: rolesText(user.roles) } });
        return reply.code(201).send(user);
      },
    );
    app.get(
      '/users/:user',
      { config, schema: { summary: 'One user', params: Params, response: { 200: UserView } } },
      async (request) => {
        permit(request, CONTROL_PLANE);
        return users.find(request.params.user);
      },
    );
    app.patch(
      '/users/:user',
      {
        config,
        schema: {
          summary: 'Changes a user: takes effect within a second, on open connections too',
          params: Params,
          body: Change,
          response: { 200: UserView },
        },
      },
      async (request) => {
        const actor = permit(request, CONTROL_PLANE);
        const before = await users.find(request.params.user);
        noteAudit(request, { resource: `user:${before.id}`, details: { user_name: before.name } });
        const { name, password } = request.body;
        if (name !== undefined) noteAudit(request, { details: { from: before.name, to: name } });
        if (password !== undefined) noteAudit(request, { details: { method: 'password' } });
        const after = await users.update(before.id, request.body, actor);
        if (request.body.roles !== undefined) noteAudit(request, { details: { roles: rolesText(after.roles) } });
        if (request.body.disabled !== undefined)
          noteAudit(request, { details: { state: disabledText(after.disabled) } });
        if (request.body.password !== undefined || after.disabled) await sessions.endAll(after.id);
        return after;
      },
    );
    app.delete(
      '/users/:user',
      {
        config,
        schema: {
          summary: 'Removes a user with their sessions and tokens',
          params: Params,
          response: { 204: z.undefined() },
        },
      },
      async (request, reply) => {
        const actor = permit(request, CONTROL_PLANE);
        const user = await users.find(request.params.user);
        noteAudit(request, { resource: `user:${user.id}`, details: { user_name: user.name } });
        await users.delete(user.id, actor);
        return reply.code(204).send();
      },
    );
    app.delete(
      '/users/:user/sessions',
      {
        config,
        schema: { summary: 'Signs a user out everywhere', params: Params, response: { 204: z.undefined() } },
      },
      async (request, reply) => {
        const actor = permit(request, CONTROL_PLANE);
        const user = await users.find(request.params.user);
        noteAudit(request, { resource: `user:${user.id}`, details: { user_name: user.name } });
        await users.requireMayActAs(user, actor);
        await sessions.endAll(user.id);
        return reply.code(204).send();
      },
    );
    app.post(
      '/users/:user/sign-in-links',
      {
        config,
        schema: { summary: 'A one-time link that signs this user in', params: Params, response: { 201: LinkView } },
      },
      async (request, reply) => {
        const actor = permit(request, CONTROL_PLANE);
        const user = await users.find(request.params.user);
        noteAudit(request, { resource: `user:${user.id}`, details: { user_name: user.name } });
        await users.requireMayActAs(user, actor);
        const code = links.issue({ kind: 'user', userId: user.id });
        return reply.code(201).send({ url: `${publicUrl()}/sign-in#${code}` });
      },
    );
    done();
  };
}

function rolesText(roles: readonly RoleBinding[]): string {
  return roles.map(({ role, selector }) => (selector === '' ? role : `${role}[${selector}]`)).join(' ');
}

function disabledText(disabled: boolean): string {
  return disabled ? 'disabled' : 'enabled';
}
