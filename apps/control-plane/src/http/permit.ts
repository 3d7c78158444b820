import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ControlError } from '@drawbridge/protocol';
import type { Verb } from '@drawbridge/protocol/api';
import type { AuditDetails } from '../audit/audit-details.ts';
import type { AuditEntry } from '../audit/audit-entry.ts';
import { actorText } from '../operators/actor.ts';
import type { Actor } from '../operators/actor.ts';
import { authorise } from '../operators/authorise.ts';
import type { Resource } from '../operators/authorise.ts';
import { actorOf } from './authenticate.ts';

/** What was decided about a request, and the facts its audit record will hold. */
interface Decision {
  readonly verb: string;
  readonly actor: string;
  readonly actorName: string | null;
  readonly result: 'allowed' | 'denied';
  readonly resource: string | null;
  readonly agentId: string | null;
  readonly details: AuditDetails;
}

/** A right that was asked for and was there. */
export interface Permit {
  readonly verb: Verb;
  readonly resource: Resource;
}

declare module 'fastify' {
  interface FastifyRequest {
    decision: Decision | undefined;
    /** Everything it was permitted, in order: what a repetition of it has to be permitted too. */
    permits: readonly Permit[] | undefined;
    /** The code of the error it was answered with. */
    failure: string | undefined;
  }
  interface FastifyContextConfig {
    /** The right a route asks for; every route has one, or is public. */
    verb?: Verb;
    /** Whether a permitted request is recorded; by default what is no mere reading. */
    audit?: boolean;
  }
}

/**
 * The one way past a route's door: asks for the verb the route declares, or for another one besides. Throws what `authorise`
 * throws. An answer of a route that never asked is turned into a 500 (see `guardAnswers`).
 */
export function permit(request: FastifyRequest, resource: Resource, verb = declaredVerb(request)): Actor {
  const actor = actorOf(request);
  const decided = {
    verb,
    actor: actorText(actor),
    actorName: actor.name,
    resource: resource.kind === 'agent' ? `agent:${resource.agentId}` : null,
    agentId: resource.kind === 'agent' ? resource.agentId : null,
    details: request.decision?.details ?? {},
  };
  try {
    authorise(actor, verb, resource);
  } catch (error) {
    request.decision = { ...decided, result: 'denied' };
    throw error;
  }
  request.decision = { ...decided, result: 'allowed' };
  request.permits = [...(request.permits ?? []), { verb, resource }];
  return actor;
}

/** Facts for the audit record of this request; never content, never a secret. */
export function noteAudit(
  request: FastifyRequest,
  facts: Partial<Pick<Decision, 'verb' | 'actor' | 'actorName' | 'resource' | 'agentId' | 'details'>>,
): void {
  const before = request.decision ?? {
    verb: 'unknown',
    actor: 'anonymous:',
    actorName: null,
    result: 'allowed' as const,
    resource: null,
    agentId: null,
    details: {},
  };
  request.decision = { ...before, ...facts, details: { ...before.details, ...facts.details } };
}

/** Where decisions are recorded. */
export interface Recorder {
  record(entry: AuditEntry): Promise<void>;
}

/**
 * Holds every route to the rule: it is public or names its verb when it is registered, and it has asked before it answers.
 * Decisions that matter are recorded before their answer goes out; without the record there is no answer.
 */
export function guardAnswers(app: FastifyInstance, audit: Recorder): void {
  app.decorateRequest('decision', undefined);
  app.decorateRequest('failure', undefined);
  app.decorateRequest('permits', undefined);
  const undeclared: string[] = [];
  app.addHook('onRoute', ({ method, url, config }) => {
    if (config?.public !== true && config?.verb === undefined) undeclared.push(`${String(method)} ${url}`);
  });
  app.addHook('onReady', async () => {
    if (undeclared.length > 0) throw new Error(`neither public nor do they name a verb: ${undeclared.join(', ')}`);
  });
  app.addHook('onSend', async (request, reply) => {
    requireAsked(request, reply);
    const { decision } = request;
    if (decision !== undefined && isRecorded(request, decision)) await audit.record(entryOf(request, reply, decision));
  });
}

function requireAsked(request: FastifyRequest, reply: FastifyReply): void {
  const { public: isPublic, verb } = request.routeOptions.config;
  if (isPublic === true || request.is404 || reply.statusCode >= 400) return;
  // Facts that were only noted are no permit: `decision` alone would be one.
  const wasPermitted = request.permits !== undefined && request.decision?.result === 'allowed';
  if (wasPermitted && verb !== undefined) return;
  throw new ControlError('internal', `${request.method} ${request.routeOptions.url ?? ''} answered without a permit`);
}

function isRecorded(request: FastifyRequest, { result }: Decision): boolean {
  if (result === 'denied') return true;
  return request.routeOptions.config.audit ?? !['GET', 'HEAD'].includes(request.method);
}

function entryOf(request: FastifyRequest, reply: FastifyReply, decision: Decision): AuditEntry {
  const hasFailed = decision.result === 'allowed' && reply.statusCode >= 400;
  return {
    ...decision,
    result: hasFailed ? 'failed' : decision.result,
    reason: request.failure ?? null,
    address: request.ip,
    requestId: request.id,
  };
}

function declaredVerb(request: FastifyRequest): Verb {
  const { verb } = request.routeOptions.config;
  if (verb === undefined) throw new Error(`${request.routeOptions.url ?? ''} names no verb`);
  return verb;
}
