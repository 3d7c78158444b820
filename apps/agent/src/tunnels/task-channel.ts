import type { Channel, ChannelOffer } from '@drawbridge/link';
import { CloseReason, ControlError, TaskChannelMetadata, firstIssue } from '@drawbridge/protocol';
import type { Logger } from '@drawbridge/runtime';
import { errorPayload } from '../link/agent-link.ts';
import type { TaskRunner } from '../tasks/task-runner.ts';
import type { ChannelServer } from './agent-tunnels.ts';

/** Where output is read. */
type OutputSource = Pick<TaskRunner, 'size' | 'read'>;

/**
 * Serves a task's output from disk: from the offset asked for, live when followed, then CLOSE 0. Nothing is read ahead of
 * the channel's credit but one chunk.
 */
export function taskChannel(runner: OutputSource, log: Logger): ChannelServer {
  return (offer, tunnelId) => {
    const parsed = TaskChannelMetadata.safeParse(offer.metadata);
    if (!parsed.success) return offer.refuse('invalid_request', firstIssue(parsed.error));
    const { task_id: taskId, file, since, actor } = parsed.data;
    log.info({ taskId, tunnelId, channelId: offer.id, file, since, actor }, 'output read');
    const logBug = (error: unknown) => {
      if (!(error instanceof ControlError)) log.error({ err: error, taskId }, 'output not served');
    };
    serve(runner, offer, parsed.data, logBug).catch((error: unknown) => {
      logBug(error);
      const { code, message } = errorPayload(error);
      offer.refuse(code, message);
    });
  };
}

/** Rejects as long as the offer has no answer; what fails later ends the channel. */
async function serve(
  runner: OutputSource,
  offer: ChannelOffer,
  request: TaskChannelMetadata,
  logBug: (error: unknown) => void,
): Promise<void> {
  const size = await runner.size(request);
  if (!request.follow && request.since > size) {
    throw new ControlError('invalid_request', `since ${request.since} is past the end: there are ${size} bytes`);
  }
  await using channel = offer.accept(request.follow ? {} : { size });
  const gone = new AbortController();
  channel.ended.then((end) => gone.abort(new Error(end.reason))).catch(() => undefined);
  try {
    await pour(runner, channel, request, request.follow ? undefined : size - request.since, gone.signal);
    channel.close({ code: CloseReason.Ok, reason: 'complete' });
  } catch (error) {
    if (gone.signal.aborted) return;
    channel.close({ code: CloseReason.TargetUnreachable, reason: errorPayload(error).message });
    logBug(error);
  }
  await channel.ended;
}

/** Without `follow` just the bytes that were there at the start: the reader was told how many. */
async function pour(
  runner: OutputSource,
  channel: Channel,
  request: TaskChannelMetadata,
  bytesMax: number | undefined,
  signal: AbortSignal,
): Promise<void> {
  let left = bytesMax ?? Number.POSITIVE_INFINITY;
  if (left === 0) return;
  for await (const chunk of runner.read(request, signal)) {
    await channel.send(chunk.subarray(0, Math.min(chunk.byteLength, left)), {}, signal);
    left -= chunk.byteLength;
    if (left <= 0) return;
  }
}
