import { CloseReason, ControlError, LIMITS } from '@drawbridge/protocol';
import { expect, it } from 'vitest';
import { settle } from '../../../testkit/src/fake-clock.ts';
import { tunnelPair } from '../../../testkit/src/tunnel-pair.ts';
import { channelStreams } from './channel-streams.ts';

async function streams() {
  const pair = tunnelPair();
  const { near, far } = await pair.open();
  return { ...channelStreams(near), near, far, [Symbol.asyncDispose]: () => pair[Symbol.asyncDispose]() };
}

const text = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString();

it('carries bytes both ways, and the end of each way for itself', async () => {
  await using made = await streams();
  const { readable, writable, far, ended } = made;
  const writer = writable.getWriter();
  await writer.write(Buffer.from('question'));
  await writer.close();
  const asked = await far.read();
  expect(asked).toMatchObject({ kind: 'data' });
  expect(await far.read()).toEqual({ kind: 'fin' });
  await far.send(Buffer.from('answer'));
  far.end();
  const reader = readable.getReader();
  expect(text((await reader.read()).value)).toBe('answer');
  expect((await reader.read()).done).toBe(true);
  expect((await ended).code).toBe(CloseReason.Ok);
});

it('reads nothing ahead: what nobody asks for takes no more than the window', async () => {
  await using made = await streams();
  let sent = 0;
  void (async () => {
    for (;;) {
      await made.far.send(new Uint8Array(65_536));
      sent += 65_536;
    }
  })().catch(() => undefined);
  for (let turn = 0; turn < 20; turn += 1) await settle();
  const full = sent;
  expect(full).toBeLessThanOrEqual(LIMITS.windowBytesInitial + LIMITS.channelOutboxBytesMax + 65_536);
  const reader = made.readable.getReader();
  for (let turn = 0; turn < 8; turn += 1) await reader.read();
  for (let turn = 0; turn < 20; turn += 1) await settle();
  expect(sent).toBeGreaterThan(full);
});

it('lets a writer wait while the other end does not read', async () => {
  await using made = await streams();
  const writer = made.writable.getWriter();
  let written = 0;
  void (async () => {
    for (;;) {
      await writer.write(new Uint8Array(65_536));
      written += 1;
    }
  })().catch(() => undefined);
  for (let turn = 0; turn < 20; turn += 1) await settle();
  expect(written * 65_536).toBeLessThanOrEqual(LIMITS.windowBytesInitial + LIMITS.channelOutboxBytesMax + 65_536);
});

it('sends what was there when it was written, whatever becomes of the memory', async () => {
  await using made = await streams();
  const memory = Buffer.from('mine');
  await made.writable.getWriter().write(memory);
  memory.fill('x');
  const item = await made.far.read();
  expect(item?.kind === 'data' && text(item.bytes)).toBe('mine');
});

it('errors both ways with a typed error when the channel fails', async () => {
  await using made = await streams();
  const reading = made.readable.getReader().read();
  made.far.close({ code: CloseReason.TargetUnreachable, reason: 'gone' });
  await expect(reading).rejects.toBeInstanceOf(ControlError);
  await expect(reading).rejects.toMatchObject({ code: 'target_unreachable', details: { closeCode: 9 } });
  await expect(made.writable.getWriter().write(new Uint8Array(1))).rejects.toBeInstanceOf(ControlError);
});

it.each([
  ['a close payload', { code: CloseReason.ResourceLimit, reason: 'full' }, { code: 11, reason: 'full' }],
  ['an error', new Error('changed my mind'), { code: 12, reason: 'changed my mind' }],
  ['nothing', undefined, { code: 12, reason: 'nobody wants it any more' }],
])('closes the channel when the writer aborts with %s', async (_what, reason, end) => {
  await using made = await streams();
  await made.writable.abort(reason);
  expect(await made.far.ended).toEqual(end);
});

it('closes the channel when the reader cancels', async () => {
  await using made = await streams();
  await made.readable.cancel(new Error('enough'));
  expect(await made.far.ended).toEqual({ code: 12, reason: 'enough' });
});
