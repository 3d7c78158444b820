import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { AgentName, Labels, PROTOCOL_VERSION, PublicKeyText, identityStatement } from '@drawbridge/protocol';
import type { Enrolment } from '../../agents/enrolment.ts';
import type { ServerIdentity } from '../../identity/server-identity.ts';
import { attemptsOf } from '../attempts.ts';

const Body = z.strictObject({
  token: z.string().max(512),
  public_key: PublicKeyText,
  proof: z.string().max(128),
  name: AgentName,
  labels: Labels.default({}),
});
const Query = z.strictObject({ nonce: z.string().regex(/^[A-Za-z0-9_-]{22,86}$/) });

/**
 * What a machine needs before it is an agent: proof of who the control plane is, then the exchange of its join token. Both are
 * public: the first tells nothing secret, the second is authorised by the token itself.
 */
export function enrolRoutes(
  enrolment: Enrolment,
  identity: ServerIdentity,
  attemptsPerMinute: number,
): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.get('/identity', { schema: { querystring: Query }, config: { public: true } }, (request, reply) =>
      reply.send({
        server_id: identity.serverId,
        public_key: identity.publicKey,
        version: PROTOCOL_VERSION,
        signature: identity.sign(identityStatement(identity.serverId, request.query.nonce)),
      }),
    );
    app.post(
      '/enroll',
      { schema: { body: Body }, config: { public: true, rateLimit: attemptsOf(attemptsPerMinute) } },
      async (request, reply) => {
        const { token, public_key: publicKey, proof, name, labels } = request.body;
        const agent = await enrolment.enrol({ token, publicKey, proof, name, labels });
        return reply.code(201).send({
          agent_id: agent.agentId,
          name: agent.name,
          server_id: identity.serverId,
          server_key: identity.publicKey,
        });
      },
    );
    done();
  };
}
