import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { ControlError } from '@drawbridge/protocol';
import { BULK_TARGET_STATES, BulkRunView, BulkTargetState, BulkTargetView, pageOf } from '@drawbridge/protocol/api';
import { resourceOfAgent } from '../../agents/agent-resource.ts';
import type { AgentService } from '../../agents/agent-service.ts';
import type { BulkRuns } from '../../bulk/bulk-runs.ts';
import { bulkTargetView } from '../../bulk/bulk-view.ts';
import { verbOfOperation, verbToCancel } from '../../commands/operation-verb.ts';
import type { Groups } from '../../groups/groups.ts';
import { AGENTS, scopeOf } from '../../operators/authorise.ts';
import { NewBulkRunBody, wantedOf } from '../new-bulk-run.ts';
import { Page, page } from '../page.ts';
import { noteAudit, permit } from '../permit.ts';

const Params = z.strictObject({ id: z.uuid() });
const TargetsQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(500).default(50),
  cursor: z.coerce.number().int().min(0).optional(),
  state: BulkTargetState.optional(),
});
/** Room for the instructions of 128 KiB, however they are escaped, and the names of all targets. */
const BODY_BYTES_MAX = 1_572_864;

export interface BulkRunRouteParts {
  readonly agents: AgentService;
  /** The limit of a command that names none: `agents.command_timeout`. */
  readonly timeoutSecondsDefault: number;
}

/** One operation, or one task, for many agents: asked for, looked at, cancelled. */
export function bulkRunRoutes(
  bulkRuns: BulkRuns,
  groups: Groups,
  { agents, timeoutSecondsDefault }: BulkRunRouteParts,
): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.post(
      '/bulk-runs',
      {
        config: { verb: 'agent.read', creates: true },
        bodyLimit: BODY_BYTES_MAX,
        schema: {
          summary: 'Runs one operation, or one task, on many agents: those of a group or a selector, or these',
          body: NewBulkRunBody,
          response: { 201: BulkRunView },
        },
      },
      async (request, reply) => {
        permit(request, AGENTS);
        const group = request.body.group === undefined ? undefined : await groups.find(request.body.group);
        const wanted = wantedOf(request.body, { group, timeoutSecondsDefault });
        const actor = permit(request, AGENTS, verbOfOperation(wanted.operation));
        const { selector = null } = wanted.choice.kind === 'selector' ? wanted.choice : {};
        const { operation, provider, groupName } = wanted;
        noteAudit(request, { details: { operation, provider, selector, group: groupName } });
        const run = await bulkRuns.create(wanted, actor);
        const targets = BULK_TARGET_STATES.reduce((sum, state) => sum + run.targets[state], 0);
        noteAudit(request, { resource: `bulk-run:${run.id}`, details: { targets, count: run.targets.refused } });
        return reply.code(201).send(run);
      },
    );
    app.get(
      '/bulk-runs',
      {
        config: { verb: 'agent.read' },
        schema: { summary: 'Bulk runs, the newest first', querystring: Page, response: { 200: pageOf(BulkRunView) } },
      },
      async (request) => {
        const actor = permit(request, AGENTS);
        const { limit, cursor } = request.query;
        return page(await bulkRuns.list({ limit: limit + 1, cursor }, actor), limit, (last) => last.id);
      },
    );
    app.get(
      '/bulk-runs/:id',
      {
        config: { verb: 'agent.read' },
        schema: { summary: 'A bulk run, its targets counted', params: Params, response: { 200: BulkRunView } },
      },
      async (request) => bulkRuns.find(request.params.id, permit(request, AGENTS)),
    );
    app.get(
      '/bulk-runs/:id/targets',
      {
        config: { verb: 'agent.read' },
        schema: {
          summary: 'The targets of a bulk run, in their order',
          params: Params,
          querystring: TargetsQuery,
          response: { 200: pageOf(BulkTargetView) },
        },
      },
      async (request) => {
        const actor = permit(request, AGENTS);
        const run = await bulkRuns.find(request.params.id, actor);
        const { limit, cursor = -1, state } = request.query;
        const rows = await bulkRuns.targets(run, { limit: limit + 1, after: cursor }, { state }, actor);
        return page(rows.map(bulkTargetView), limit, (last) => String(last.position));
      },
    );
    app.post(
      '/bulk-runs/:id/cancel',
      {
        config: { verb: 'agent.read' },
        schema: {
          summary: 'Starts nothing more, and cancels what was started',
          params: Params,
          response: { 200: BulkRunView },
        },
      },
      async (request) => {
        const actor = permit(request, AGENTS);
        const run = await bulkRuns.find(request.params.id, actor);
        const verb = verbToCancel(run.operation);
        permit(request, AGENTS, verb);
        noteAudit(request, { resource: `bulk-run:${run.id}`, details: { operation: run.operation } });
        const outside = await bulkRuns.agentOutside(run.id, scopeOf(actor, verb));
        if (outside !== undefined) {
          // Whoever may not stop all of it stops none of it; of an agent they may not see they are not told.
          const unseen = () => new ControlError('forbidden', 'some targets of this run are not yours to cancel');
          permit(request, resourceOfAgent(await agents.findAny(outside), unseen), verb);
        }
        await bulkRuns.cancel(run.id);
        return bulkRuns.find(run.id, actor);
      },
    );
    done();
  };
}
