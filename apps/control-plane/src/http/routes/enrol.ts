import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import {
  AgentName,
  ControlError,
  Labels,
  MachineId,
  PROTOCOL_VERSION,
  PublicKeyText,
  identityStatement,
} from '@drawbridge/protocol';
import { labelsText } from '../../agents/agent-resource.ts';
import type { Enrolment } from '../../agents/enrolment.ts';
import type { ServerIdentity } from '../../identity/server-identity.ts';
import { addressKey } from '../../limits/address-key.ts';
import type { TokenBuckets } from '../../limits/token-buckets.ts';
import { countAttempt } from '../attempts.ts';
import { noteAudit } from '../permit.ts';

const Body = z.strictObject({
  token: z.string().max(512),
  public_key: PublicKeyText,
  proof: z.string().max(128),
  name: AgentName,
  labels: Labels.default({}),
  machine_id: MachineId.optional(),
});
const Query = z.strictObject({ nonce: z.string().regex(/^[A-Za-z0-9_-]{22,86}$/) });

const Enrolled = z.object({ agent_id: z.string(), name: z.string(), server_id: z.string(), server_key: z.string() });
const Identity = z.object({
  server_id: z.string(),
  public_key: z.string(),
  version: z.number(),
  signature: z.string(),
});

export interface EnrolRoutesOptions {
  readonly attempts: TokenBuckets;
  /** Whether an agent may come from this address. */
  readonly isAllowed: (address: string) => boolean;
}

/**
 * What a machine needs before it is an agent: proof of who the control plane is, then the exchange of its join token. Both are
 * public: the first tells nothing secret, the second is authorised by the token itself.
 */
export function enrolRoutes(
  enrolment: Enrolment,
  identity: ServerIdentity,
  { attempts, isAllowed }: EnrolRoutesOptions,
): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.get(
      '/identity',
      {
        config: { public: true },
        schema: { summary: 'Proof of who this control plane is', querystring: Query, response: { 200: Identity } },
      },
      async (request) => ({
        server_id: identity.serverId,
        public_key: identity.publicKey,
        version: PROTOCOL_VERSION,
        signature: identity.sign(identityStatement(identity.serverId, request.query.nonce)),
      }),
    );
    app.post(
      '/enroll',
      {
        config: { public: true },
        onRequest: countAttempt(attempts),
        schema: { summary: 'A machine becomes an agent, by a join token', body: Body, response: { 201: Enrolled } },
      },
      async (request, reply) => {
        const asked = { name: request.body.name, labels: labelsText(request.body.labels) };
        noteAudit(request, { verb: 'agent.enrol', details: asked });
        if (!isAllowed(request.ip)) throw new ControlError('forbidden', 'no agent may come from this address');
        const { token, public_key: publicKey, proof, name, labels } = request.body;
        // An agent that does not say where it runs is counted by where it comes from.
        const machineId = request.body.machine_id ?? `address:${addressKey(request.ip)}`;
        const agent = await enrolment.enrol({ token, publicKey, proof, name, labels, machineId });
        const { agentId } = agent;
        noteAudit(request, { actor: `agent:${agentId}`, resource: `agent:${agentId}`, agentId });
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
