import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { AuditAnchorText, AuditRecord, AuditReport, AuditResult, pageOf } from '@drawbridge/protocol/api';
import { agentResource } from '../../agents/agent-resource.ts';
import type { AgentService } from '../../agents/agent-service.ts';
import type { AuditLog } from '../../audit/audit-log.ts';
import type { AuditQuery } from '../../audit/list-records.ts';
import { AGENTS, CONTROL_PLANE, scopeOf } from '../../operators/authorise.ts';
import { Page } from '../page.ts';
import { permit } from '../permit.ts';
import { untilClosed } from '../until-closed.ts';

const Params = z.strictObject({ agent: z.string().min(1).max(64).describe('id or name of the agent') });
const Text = z.string().min(1).max(255).optional();
/** As it is stored, so that it can be compared as text. */
const Time = z.iso
  .datetime({ offset: true })
  .transform((text) => new Date(text).toISOString())
  .optional();
const RecordPage = Page.extend({ cursor: z.coerce.number().int().min(1).optional() });
const Period = { since: Time.describe('recorded then or later'), until: Time.describe('recorded before') };
const ActivityQuery = RecordPage.extend({ verb: Text, result: AuditResult.optional(), ...Period });
const ListQuery = ActivityQuery.extend({
  actor: Text.describe('kind:id, such as user:019b…'),
  agent: Text.describe('id of the agent'),
  resource: Text.describe('kind:id, such as task:019b…'),
});
const VerifyQuery = z.strictObject({ expect: AuditAnchorText.optional().describe('<seq>:<hash> noted earlier') });

/** The audit log: read, checked, taken away. What may be checked or taken away is all of it or nothing. */
export function auditRoutes(audit: AuditLog, agents: AgentService): FastifyPluginCallbackZod {
  const config = { verb: 'audit.read' } as const;
  return (app, _options, done) => {
    app.get(
      '/audit',
      {
        config,
        schema: { summary: 'Records, newest first', querystring: ListQuery, response: { 200: pageOf(AuditRecord) } },
      },
      async (request) => {
        const scope = scopeOf(permit(request, AGENTS), 'audit.read');
        const { limit, cursor, agent, ...filter } = request.query;
        return pageOfRecords(audit, { limit, beforeSeq: cursor, filter: { ...filter, agentId: agent, scope } });
      },
    );
    app.get(
      '/audit/verify',
      {
        config,
        schema: {
          summary: 'Walks along the whole chain and says what is wrong with it',
          querystring: VerifyQuery,
          response: { 200: AuditReport },
        },
      },
      async (request, reply) => {
        permit(request, CONTROL_PLANE);
        const { expect } = request.query;
        return audit.verify(expect === undefined ? [] : [expect], untilClosed(reply));
      },
    );
    app.get(
      '/audit/export',
      // Taking the whole log away is worth a record itself.
      {
        config: { ...config, audit: true, contentType: 'application/x-ndjson' },
        schema: { summary: 'The whole log as NDJSON, to be verified elsewhere' },
      },
      async (request, reply) => {
        permit(request, CONTROL_PLANE);
        return sendLines(reply, audit.export(untilClosed(reply)));
      },
    );
    app.get(
      '/agents/:agent/activity',
      {
        config,
        schema: {
          summary: 'What was done to one agent, and by it, newest first',
          params: Params,
          querystring: ActivityQuery,
          response: { 200: pageOf(AuditRecord) },
        },
      },
      async (request) => {
        const row = await agents.findAny(request.params.agent);
        permit(request, agentResource(row, request.params.agent));
        const { limit, cursor, ...filter } = request.query;
        return pageOfRecords(audit, { limit, beforeSeq: cursor, filter: { ...filter, agentId: row.agent_id } });
      },
    );
    done();
  };
}

async function pageOfRecords(audit: AuditLog, query: AuditQuery) {
  const { records, nextSeq } = await audit.list(query);
  return { items: [...records], next_cursor: nextSeq === null ? null : String(nextSeq) };
}

/** What fails before the first line is an answer of its own; what fails later breaks the connection off. */
async function sendLines(reply: FastifyReply, lines: AsyncGenerator<string>): Promise<FastifyReply> {
  // Whatever becomes of the answer, the walk ends with it.
  reply.raw.once('close', () => void lines.return(undefined).catch(() => undefined));
  const first = await lines.next();
  // One chunk is read ahead: a reader who is slow makes the walk wait.
  const body = Readable.from(continued(first, lines), { objectMode: true, highWaterMark: 1 });
  return reply.header('content-type', 'application/x-ndjson').send(body);
}

async function* continued(first: IteratorResult<string>, rest: AsyncGenerator<string>): AsyncGenerator<string> {
  if (first.done !== true) yield first.value;
  yield* rest;
}
