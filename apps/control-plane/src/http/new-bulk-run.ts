import { z } from 'zod';
import { ControlError, Instructions, LIMITS, ProviderName, formatSelector, parseSelector } from '@drawbridge/protocol';
import { BULK_LIMITS } from '@drawbridge/protocol/api';
import type { GroupView } from '@drawbridge/protocol/api';
import type { AgentChoice } from '../bulk/choose-agents.ts';
import type { NewBulkRun } from '../bulk/new-bulk-run.ts';
import { parseOperation } from './routes/commands.ts';

const NameOrId = z.string().min(1).max(64);
const TimeoutSeconds = z.number().int().min(1).max(LIMITS.commandTtlSecondsMax);

/** What the API takes for a new bulk run. */
export const NewBulkRunBody = z.strictObject({
  group: NameOrId.optional().describe('id or name of a group'),
  selector: z.string().max(2048).optional().describe('k=v, k!=v, k or !k, joined by commas; empty: every agent'),
  agent_ids: z.array(NameOrId).min(1).max(BULK_LIMITS.targetsMax).optional().describe('ids or names'),
  operation: z.string().min(1).max(64).optional(),
  params: z.record(z.string(), z.unknown()).optional(),
  provider: ProviderName.optional(),
  instructions: Instructions.optional(),
  mode: z.string().max(64).optional(),
  model: z.string().max(128).optional(),
  timeout_seconds: TimeoutSeconds.optional(),
  queue_if_offline: z.boolean().default(false),
  ttl_seconds: TimeoutSeconds.default(LIMITS.commandTtlSecondsDefault),
  concurrency: z.number().int().min(1).max(BULK_LIMITS.concurrencyMax).default(BULK_LIMITS.concurrencyDefault),
  stop_on_failure: z.boolean().optional().describe('true: failures_max 0'),
  failures_max: z
    .number()
    .int()
    .min(0)
    .max(BULK_LIMITS.targetsMax)
    .optional()
    .describe('with more failures than this nothing more is started'),
});
type NewBulkRunBody = z.infer<typeof NewBulkRunBody>;

interface Surroundings {
  /** The group that the body names. */
  readonly group: GroupView | undefined;
  /** The limit of a command that names none. */
  readonly timeoutSecondsDefault: number;
}

/** What the body asks for. Throws ControlError `invalid_request` unless it says once for whom, and once what. */
export function wantedOf(body: NewBulkRunBody, { group, timeoutSecondsDefault }: Surroundings): NewBulkRun {
  const isTask = body.provider !== undefined;
  const timeoutSeconds = body.timeout_seconds ?? (isTask ? LIMITS.taskTimeoutSecondsDefault : timeoutSecondsDefault);
  const isTooLong = isTask && timeoutSeconds > LIMITS.taskTimeoutSecondsMax;
  if (isTooLong) throw new ControlError('invalid_request', `a task has at most ${LIMITS.taskTimeoutSecondsMax} s`);
  return {
    choice: choiceOf(body, group),
    groupName: group?.name ?? null,
    ...workOf(body),
    mode: body.mode ?? null,
    model: body.model ?? null,
    timeoutSeconds,
    queueIfOffline: body.queue_if_offline,
    ttlSeconds: body.ttl_seconds,
    concurrency: body.concurrency,
    failuresMax: body.failures_max ?? (body.stop_on_failure === true ? 0 : null),
  };
}

function choiceOf({ selector, agent_ids: agents }: NewBulkRunBody, group: GroupView | undefined): AgentChoice {
  if ([group, selector, agents].filter((given) => given !== undefined).length !== 1) {
    throw new ControlError('invalid_request', 'give one of group, selector and agent_ids');
  }
  if (agents !== undefined) return { kind: 'agents', agents };
  return { kind: 'selector', selector: formatSelector(parseSelector(group?.selector ?? selector ?? '')) };
}

function workOf(body: NewBulkRunBody): Pick<NewBulkRun, 'operation' | 'content' | 'provider'> {
  const { operation, params, provider, instructions, mode, model } = body;
  if (operation !== undefined && [provider, instructions, mode, model].every((given) => given === undefined)) {
    const parsed = parseOperation(operation, params ?? {});
    return { operation: parsed.operation, content: { params: parsed.params }, provider: null };
  }
  if (provider !== undefined && instructions !== undefined && operation === undefined && params === undefined) {
    return { operation: 'task.start', content: { instructions }, provider };
  }
  throw new ControlError('invalid_request', 'give either operation (and params), or provider and instructions');
}
