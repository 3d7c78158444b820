import type { Channel, ChannelOffer } from '@drawbridge/link';
import { CloseReason, ControlError, TaskChannelMetadata, firstIssue } from '@drawbridge/protocol';
import type { Logger } from '@drawbridge/runtime';
import { errorPayload } from '../link/agent-link.ts';
import type { TaskRunner } from '../tasks/task-runner.ts';

/**
 * Serves a task's output from disk: from the offset asked for, live when followed, then CLOSE 0. Nothing is read ahead of
 * the channel's credit but one chunk.
 */
export function taskChannel(runner: TaskRunner, log: Logger): (offer: ChannelOffer) => void {
  return (offer) => {
    const parsed = TaskChannelMetadata.safeParse(offer.metadata);
    if (!parsed.success) return offer.refuse('invalid_request', firstIssue(parsed.error));
    const { task_id: taskId, file, since, actor } = parsed.data;
    log.info({ taskId, file, since, actor }, 'output read');
    serve(runner, offer, parsed.data).catch((error: unknown) => {
      if (error instanceof ControlError) offer.refuse(error.code, error.message);
      else log.error({ err: error, taskId: parsed.data.task_id }, 'output not served');
    });
  };
}

async function serve(runner: TaskRunner, offer: ChannelOffer, request: TaskChannelMetadata): Promise<void> {
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
    if (!(error instanceof ControlError)) throw error;
  }
  await channel.ended;
}

/** Without `follow` just the bytes that were there at the start: the reader was told how many. */
async function pour(
  runner: TaskRunner,
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
