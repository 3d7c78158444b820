import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { ControlError } from '@drawbridge/protocol';
import { PlainName, RoleView, Verb } from '@drawbridge/protocol/api';
import { looksSecret } from '../../audit/prepare-record.ts';
import { CONTROL_PLANE } from '../../operators/authorise.ts';
import type { Roles } from '../../operators/roles.ts';
import { noteAudit, permit } from '../permit.ts';

const Params = z.strictObject({ role: PlainName });
const Verbs = z.array(Verb).max(64);
const Description = z.string().max(255);
const NewRole = z.strictObject({ name: PlainName, description: Description.default(''), verbs: Verbs });
const Change = z.strictObject({ description: Description.optional(), verbs: Verbs.optional() });
const List = z.object({ items: z.array(RoleView) });

/** Roles: what they give; the built-in ones stay as they are. */
export function roleRoutes(roles: Roles): FastifyPluginCallbackZod {
  const config = { verb: 'admin.roles' } as const;
  return (app, _options, done) => {
    app.get('/roles', { config, schema: { summary: 'All roles', response: { 200: List } } }, async (request) => {
      permit(request, CONTROL_PLANE);
      return { items: await roles.list() };
    });
    app.post(
      '/roles',
      {
        config: { ...config, creates: true },
        schema: { summary: 'Makes a role of chosen verbs', body: NewRole, response: { 201: RoleView } },
      },
      async (request, reply) => {
        const actor = permit(request, CONTROL_PLANE);
        const { name, verbs } = request.body;
        if (looksSecret(name)) throw new ControlError('invalid_request', 'the name looks like a credential');
        noteAudit(request, { resource: `role:${name}`, details: { role: name, verbs: verbs.join(' ') } });
        return reply.code(201).send(await roles.create(request.body, actor));
      },
    );
    app.get(
      '/roles/:role',
      { config, schema: { summary: 'One role', params: Params, response: { 200: RoleView } } },
      async (request) => {
        permit(request, CONTROL_PLANE);
        return roles.find(request.params.role);
      },
    );
    app.patch(
      '/roles/:role',
      {
        config,
        schema: { summary: 'Changes what a role gives', params: Params, body: Change, response: { 200: RoleView } },
      },
      async (request) => {
        const actor = permit(request, CONTROL_PLANE);
        const { role } = request.params;
        noteAudit(request, { resource: `role:${role}`, details: { role } });
        if (request.body.verbs !== undefined) noteAudit(request, { details: { verbs: request.body.verbs.join(' ') } });
        return roles.update(role, request.body, actor);
      },
    );
    app.delete(
      '/roles/:role',
      {
        config,
        schema: { summary: 'Removes a role from all who have it', params: Params, response: { 204: z.undefined() } },
      },
      async (request, reply) => {
        const actor = permit(request, CONTROL_PLANE);
        const { role } = request.params;
        noteAudit(request, { resource: `role:${role}`, details: { role } });
        await roles.delete(role, actor);
        return reply.code(204).send();
      },
    );
    done();
  };
}
