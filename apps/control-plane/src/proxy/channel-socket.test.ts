import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { CloseReason, LIMITS } from '@drawbridge/protocol';
import { settle, tunnelPair } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { ChannelSocket } from './channel-socket.ts';

async function open() {
  const pair = tunnelPair();
  const { near, far } = await pair.open();
  const socket = new ChannelSocket(near);
  socket.on('error', () => undefined);
  return { socket, far, [Symbol.asyncDispose]: () => pair[Symbol.asyncDispose]() };
}

it('carries bytes both ways, and ends when the other end has', async () => {
  await using made = await open();
  const { socket, far } = made;
  socket.write('question');
  expect(await far.read()).toMatchObject({ kind: 'data', bytes: new TextEncoder().encode('question') });
  await far.send(Buffer.from('answer'));
  far.end();
  expect(await text(socket)).toBe('answer');
  expect((await far.ended).code).toBe(CloseReason.Ok);
});

it('sends what was written at once as one piece', async () => {
  await using made = await open();
  const { socket, far } = made;
  socket.cork();
  for (const piece of ['5\r\n', 'hello', '\r\n']) socket.write(piece);
  socket.uncork();
  expect(await far.read()).toMatchObject({ bytes: new TextEncoder().encode('5\r\nhello\r\n') });
});

it('takes no more than the other end reads', async () => {
  await using made = await open();
  let writtenBytes = 0;
  for (let turn = 0; turn < 50; turn += 1) {
    while (writtenBytes < 20_000_000 && made.socket.write(new Uint8Array(65_536))) writtenBytes += 65_536;
    await settle();
  }
  expect(writtenBytes).toBeLessThanOrEqual(LIMITS.windowBytesInitial + LIMITS.channelOutboxBytesMax + 4 * 65_536);
});

it('gives no more than is read', async () => {
  await using made = await open();
  const { socket, far } = made;
  let sentBytes = 0;
  const sending = (async () => {
    for (;;) {
      await far.send(new Uint8Array(65_536));
      sentBytes += 65_536;
    }
  })().catch(() => undefined);
  for (let turn = 0; turn < 50; turn += 1) await settle();
  expect(sentBytes).toBeLessThanOrEqual(2 * LIMITS.windowBytesInitial + LIMITS.channelOutboxBytesMax);
  socket.destroy();
  await sending;
});

it('fails when its channel does, and does not look as if it had ended', async () => {
  await using made = await open();
  const { socket, far } = made;
  const ended: unknown[] = [];
  socket.on('end', () => ended.push(true)).resume();
  far.close({ code: CloseReason.UnexpectedDisconnect, reason: 'reset' });
  const [error] = (await once(socket, 'error')) as [unknown];
  expect(error).toMatchObject({ code: 'tunnel_unavailable' });
  expect(ended).toEqual([]);
});

it('that fails is a reset to the other end, one that is not needed any more an end', async () => {
  await using failed = await open();
  failed.socket.destroy(new Error('the client has gone'));
  expect(await failed.far.ended).toEqual({ code: CloseReason.Cancelled, reason: 'the client has gone' });
  await using done = await open();
  done.socket.destroySoon();
  expect((await done.far.ended).code).toBe(CloseReason.Ok);
});
