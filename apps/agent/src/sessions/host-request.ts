import type { Channel } from '@drawbridge/link';
import { CloseReason, ControlError, ERROR_CODES } from '@drawbridge/protocol';
import type { ErrorCode } from '@drawbridge/protocol';
import { z } from 'zod';
import { AGENT_LIMITS } from '../limits.ts';
import { errorPayload } from '../link/agent-link.ts';

/** What the agent asks its session host for: one `request` channel each, JSON there and back. */
const HOST_REQUESTS = ['create', 'end', 'list', 'get'] as const;
export const HostRequest = z.object({ operation: z.enum(HOST_REQUESTS), params: z.unknown() });
export type HostRequest = z.infer<typeof HostRequest>;

const HostAnswer = z.union([
  z.object({ data: z.unknown() }),
  z.object({ error: z.object({ code: z.enum(ERROR_CODES), message: z.string() }) }),
]);

/** Asks, and resolves with the answer. Rejects with the ControlError it was answered with, or when the host is lost. */
export async function ask(channel: Channel, request: HostRequest, signal: AbortSignal): Promise<unknown> {
  await using open = channel;
  await open.send(Buffer.from(JSON.stringify(request)), {}, signal);
  open.end();
  const text = await readText(open, signal);
  if (text === '') throw new ControlError('agent_error', `the session host is gone: ${(await open.ended).reason}`);
  const answer = HostAnswer.parse(JSON.parse(text));
  if ('error' in answer) throw new ControlError(answer.error.code satisfies ErrorCode, answer.error.message);
  return answer.data;
}

/** Answers one request. Never rejects. */
export async function answer(channel: Channel, carryOut: (request: HostRequest) => Promise<unknown>): Promise<void> {
  await using open = channel;
  try {
    const request = HostRequest.parse(JSON.parse(await readText(open)));
    const said = await carryOut(request).then(
      (data) => ({ data }),
      (error: unknown) => ({ error: errorPayload(error) }),
    );
    await open.send(Buffer.from(JSON.stringify(said)));
    open.close({ code: CloseReason.Ok, reason: 'answered' });
    await open.ended;
  } catch {
    open.close({ code: CloseReason.ProtocolError, reason: 'this is no request' });
  }
}

async function readText(channel: Channel, signal?: AbortSignal): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const item = await channel.read(signal);
    if (item === undefined || item.kind === 'fin') break;
    if (item.kind !== 'data') continue;
    size += item.bytes.byteLength;
    if (size > AGENT_LIMITS.sessionRequestBytesMax) throw new ControlError('payload_too_large', 'more than a request');
    parts.push(item.bytes);
  }
  return Buffer.concat(parts).toString('utf8');
}
