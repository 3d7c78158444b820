import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Labels } from '@drawbridge/protocol';
import { Verb } from '@drawbridge/protocol/api';
import { z } from 'zod';
import type { AgentLabels } from '../events/agent-labels.ts';
import type { IdempotentAnswers, KeyedRequest, StoredAnswer } from '../idempotency/idempotent-answers.ts';
import { actorText } from '../operators/actor.ts';
import type { Resource } from '../operators/authorise.ts';
import { idempotencyKey } from './idempotency-key.ts';
import { noteAudit, permit } from './permit.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set while a request under an Idempotency-Key is under way. */
    keyed: KeyedRequest | undefined;
  }
  interface FastifyContextConfig {
    /** True for a POST that makes something: repeated under its Idempotency-Key, it is answered again and makes nothing. */
    creates?: boolean;
  }
}

export interface IdempotencyOptions {
  readonly answers: Pick<IdempotentAnswers, 'begin' | 'finish' | 'abandon'>;
  readonly labels: Pick<AgentLabels, 'of'>;
}

/** An answer as it is kept: with what it took to be given, because rights may have gone since. */
const Kept = z.object({
  body: z.string(),
  contentType: z.string(),
  permits: z
    .array(
      z.object({
        verb: Verb,
        resource: z.discriminatedUnion('kind', [
          z.object({ kind: z.literal('agent'), agentId: z.string(), labels: Labels }),
          z.object({ kind: z.literal('agents') }),
          z.object({ kind: z.literal('control-plane') }),
        ]),
      }),
    )
    .readonly(),
});
type Kept = z.infer<typeof Kept>;

/**
 * Honours Idempotency-Key on every route with `creates`. Call it before the hook that records decisions is added: an answer is kept
 * before its record is written, so that a request which was only not recorded is not made twice.
 */
export function honourIdempotencyKeys(app: FastifyInstance, options: IdempotencyOptions): void {
  app.decorateRequest('keyed', undefined);
  app.addHook('preHandler', async (request, reply) => {
    const keyed = keyedRequest(request);
    if (keyed === undefined) return undefined;
    const answer = await options.answers.begin(keyed);
    if (answer !== undefined) return replay(request, reply, answer, options);
    request.keyed = keyed;
    return undefined;
  });
  app.addHook('onSend', async (request, reply, payload: unknown) => {
    const { keyed } = request;
    if (keyed === undefined) return;
    request.keyed = undefined;
    const isKept = reply.statusCode < 400 && typeof payload === 'string';
    if (isKept)
      await options.answers.finish(keyed, { status: reply.statusCode, content: contentOf(request, reply, payload) });
    else await options.answers.abandon(keyed);
  });
}

function keyedRequest(request: FastifyRequest): KeyedRequest | undefined {
  if (request.routeOptions.config.creates !== true || request.actor === undefined) return undefined;
  const key = idempotencyKey(request);
  if (key === undefined) return undefined;
  const text = JSON.stringify([request.method, request.url, request.body ?? null]);
  return { actor: actorText(request.actor), key, request: text };
}

function contentOf(request: FastifyRequest, reply: FastifyReply, body: string): string {
  const contentType = String(reply.getHeader('content-type') ?? 'application/json; charset=utf-8');
  return JSON.stringify({ body, contentType, permits: request.permits ?? [] } satisfies Kept);
}

/** The same answer again, for somebody who would still be let. */
async function replay(
  request: FastifyRequest,
  reply: FastifyReply,
  { status, content }: StoredAnswer,
  { labels }: IdempotencyOptions,
): Promise<FastifyReply> {
  const kept = Kept.parse(JSON.parse(content));
  for (const { verb, resource } of kept.permits) permit(request, await asOfNow(resource, labels), verb);
  noteAudit(request, { details: { state: 'replayed' } });
  return reply
    .code(status)
    .header('content-type', kept.contentType)
    .header('idempotent-replayed', 'true')
    .send(kept.body);
}

async function asOfNow(
  resource: Kept['permits'][number]['resource'],
  labels: IdempotencyOptions['labels'],
): Promise<Resource> {
  if (resource.kind !== 'agent' || resource.agentId === '') return resource;
  return { ...resource, labels: (await labels.of(resource.agentId)) ?? resource.labels };
}
