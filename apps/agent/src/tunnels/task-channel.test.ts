import { randomUUID } from 'node:crypto';
import { rm, symlink } from 'node:fs/promises';
import type { Channel } from '@drawbridge/link';
import { CloseReason, LIMITS } from '@drawbridge/protocol';
import type { TaskChannelMetadata } from '@drawbridge/protocol';
import { memoryLog } from '@drawbridge/runtime/testing';
import { eventually, tunnelPair } from '@drawbridge/testkit';
import type { TunnelPair } from '@drawbridge/testkit';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { TaskRunner } from '../tasks/task-runner.ts';
import { TaskFixture } from '../tasks/task-fixture.ts';
import { taskChannel } from './task-channel.ts';

let tasks: TaskFixture;
let pair: TunnelPair;
let lines: Record<string, unknown>[];
beforeEach(async () => {
  tasks = await TaskFixture.make();
  serve(tasks.runner);
});
afterEach(async () => {
  await pair[Symbol.asyncDispose]();
  await tasks[Symbol.asyncDispose]();
});

/** A tunnel whose `task` channels are served from there. */
function serve(runner: Pick<TaskRunner, 'size' | 'read'>): void {
  const memory = memoryLog();
  lines = memory.lines;
  const server = taskChannel(runner, memory.log);
  pair = tunnelPair({ accept: (offer) => server(offer, 'tunnel-1') });
}

function open(taskId: string, more: Partial<TaskChannelMetadata> & { file?: unknown } = {}): Promise<Channel> {
  const metadata = { task_id: taskId, file: 'output', since: 0, follow: false, ...more };
  return pair.operator.open({ protocol: 'task', metadata });
}

async function rest(channel: Channel): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const item of channel) if (item.kind === 'data') chunks.push(item.bytes);
  return Buffer.concat(chunks).toString();
}

/** A task that does `first`, and `then` once it is told to go on. */
async function waiting(first: string, then = 'printf more'): Promise<{ taskId: string; goOn: () => Promise<unknown> }> {
  const taskId = randomUUID();
  const running = tasks.run(`${first}; until [ -e go ]; do sleep 0.01; done; ${then}`, { task_id: taskId });
  return {
    taskId,
    async goOn() {
      await tasks.letGo(taskId);
      return running;
    },
  };
}

it.each([
  ['output', 0, 'answer\n'],
  ['result', 0, 'answer\n'],
  ['output', 3, 'wer\n'],
  ['output', 7, ''],
] as const)('gives the %s from byte %i on, says how long the file is, and ends with 0', async (file, since, text) => {
  const { task_id: taskId } = await tasks.run('echo answer');
  const channel = await open(taskId, { file, since });
  expect(channel.metadata).toEqual({ size: 7 });
  expect(await rest(channel)).toBe(text);
  expect(await channel.ended).toEqual({ code: CloseReason.Ok, reason: 'complete' });
});

it('gives a reader that does not follow just what it was told of, though more comes meanwhile', async () => {
  // More than the window: what is beyond is read when more has come.
  const firstBytes = LIMITS.windowBytesInitial + 2 * LIMITS.channelOutboxBytesMax;
  const { taskId, goOn } = await waiting(`head -c ${firstBytes} /dev/zero`, 'head -c 200000 /dev/zero');
  await eventually(() => tasks.runner.find(taskId)?.progress('output').bytes === firstBytes, { what: 'the output' });
  const channel = await open(taskId, { since: 10 });
  expect(channel.metadata).toEqual({ size: firstBytes });
  await goOn();
  expect(await rest(channel)).toHaveLength(firstBytes - 10);
  expect(await channel.ended).toMatchObject({ code: CloseReason.Ok });
});

it('gives a reader that follows what comes as it comes, and ends with the task', async () => {
  const { taskId, goOn } = await waiting('printf first');
  await tasks.printed(taskId, 'first');
  const channel = await open(taskId, { since: 2, follow: true });
  expect(channel.metadata).toEqual({});
  expect(await channel.read()).toMatchObject({ kind: 'data', bytes: new TextEncoder().encode('rst') });
  await goOn();
  expect(await rest(channel)).toBe('more');
  expect(await channel.ended).toEqual({ code: CloseReason.Ok, reason: 'complete' });
});

it('reads no further than its reader takes', async () => {
  const { task_id: taskId } = await tasks.run('head -c 3000000 /dev/zero');
  await pair[Symbol.asyncDispose]();
  let readBytes = 0;
  serve({
    size: (request) => tasks.runner.size(request),
    async *read(request, signal) {
      for await (const chunk of tasks.runner.read(request, signal)) {
        readBytes += chunk.byteLength;
        yield chunk;
      }
    },
  });
  const channel = await open(taskId);
  const aheadBytes = LIMITS.windowBytesInitial + LIMITS.channelOutboxBytesMax;
  await eventually(() => readBytes >= aheadBytes, { what: 'all credit to be used' });
  expect(readBytes).toBeLessThanOrEqual(aheadBytes + LIMITS.framePayloadBytesMax);
  expect(await rest(channel)).toHaveLength(3_000_000);
});

it('stops when its reader leaves, and leaves nothing open', async () => {
  const { taskId, goOn } = await waiting('printf first');
  await tasks.printed(taskId, 'first');
  const isReading = Promise.withResolvers<boolean>();
  await pair[Symbol.asyncDispose]();
  serve({
    size: (request) => tasks.runner.size(request),
    async *read(request, signal) {
      try {
        yield* tasks.runner.read(request, signal);
      } finally {
        isReading.resolve(false);
      }
    },
  });
  const channel = await open(taskId, { follow: true });
  await channel.read();
  channel.close({ code: CloseReason.Cancelled, reason: 'seen enough' });
  expect(await isReading.promise).toBe(false);
  await eventually(() => pair.agent.channels === 0, { what: 'the channel to be gone' });
  expect(lines.filter(({ level }) => level === 'error')).toEqual([]);
  await goOn();
});

it.each<[string, Record<string, unknown>, string]>([
  ['an offset past the end', { since: 8 }, 'invalid_request'],
  ['a task it does not know', { task_id: randomUUID() }, 'task_not_found'],
  ['a file that tasks do not have', { file: '../../secret' }, 'invalid_request'],
  ['an id that leads elsewhere', { task_id: '../elsewhere' }, 'invalid_request'],
  ['an offset before the beginning', { since: -1 }, 'invalid_request'],
])('refuses %s', async (_what, more, code) => {
  const { task_id: taskId } = await tasks.run('echo answer');
  await expect(open(taskId, more)).rejects.toMatchObject({ code });
  expect(pair.agent.channels).toBe(0);
});

it('refuses a link that a task put in place of its output', async () => {
  const { task_id: taskId } = await tasks.run('echo answer');
  const path = `${tasks.workspaceRoot}/${taskId}/output/output.log`;
  await rm(path);
  await symlink('/etc/hostname', path);
  await expect(open(taskId)).rejects.toMatchObject({ code: 'forbidden' });
});

it('says who reads what', async () => {
  const { task_id: taskId } = await tasks.run('echo answer');
  const channel = await open(taskId, { since: 3, actor: 'user:ann' });
  const line = { tunnelId: 'tunnel-1', channelId: channel.id, taskId, file: 'output', since: 3, actor: 'user:ann' };
  expect(lines).toContainEqual(expect.objectContaining({ msg: 'output read', ...line }));
});

it('answers, logs and tells nothing of a failure that it did not expect, before and after it has begun', async () => {
  await pair[Symbol.asyncDispose]();
  const failure = () => Promise.reject(new Error('EIO: /home/ann/secret'));
  let size = failure;
  serve({ size: () => size(), read: () => ({ [Symbol.asyncIterator]: () => ({ next: failure }) }) as never });
  await expect(open(randomUUID())).rejects.toMatchObject({ code: 'internal', message: 'internal error' });
  size = () => Promise.resolve(7) as Promise<never>;
  const channel = await open(randomUUID());
  expect(await rest(channel)).toBe('');
  expect(await channel.ended).toEqual({ code: CloseReason.TargetUnreachable, reason: 'internal error' });
  expect(lines.filter(({ msg }) => msg === 'output not served')).toHaveLength(2);
});
