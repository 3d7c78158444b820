import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { CloseReason, ControlError, LIMITS } from '@drawbridge/protocol';
import { expect, it } from 'vitest';
import { settle } from '../../../testkit/src/fake-clock.ts';
import { tunnelPair } from '../../../testkit/src/tunnel-pair.ts';
import { channelDuplex } from './channel-duplex.ts';

async function duplex() {
  const pair = tunnelPair();
  const { near, far } = await pair.open();
  return { stream: channelDuplex(near), near, far, [Symbol.asyncDispose]: () => pair[Symbol.asyncDispose]() };
}

it('carries bytes both ways, and the end of each way for itself', async () => {
  await using made = await duplex();
  const { stream, far, near } = made;
  stream.end('question');
  expect(await far.read()).toMatchObject({ kind: 'data' });
  expect(await far.read()).toEqual({ kind: 'fin' });
  await far.send(Buffer.from('answer'));
  far.end();
  expect(await text(stream)).toBe('answer');
  expect((await near.ended).code).toBe(CloseReason.Ok);
});

it('takes no more than the other end reads', async () => {
  await using made = await duplex();
  // The wire is cut at the end.
  made.stream.on('error', () => undefined);
  let written = 0;
  while (written < 100 && made.stream.write(new Uint8Array(65_536))) written += 1;
  for (let turn = 0; turn < 20; turn += 1) {
    await settle();
    while (written < 100 && made.stream.write(new Uint8Array(65_536))) written += 1;
  }
  expect(written * 65_536).toBeLessThanOrEqual(LIMITS.windowBytesInitial + LIMITS.channelOutboxBytesMax + 3 * 65_536);
});

it('fails with a typed error when the channel does', async () => {
  await using made = await duplex();
  const failed = once(made.stream, 'error');
  made.far.close({ code: CloseReason.TargetUnreachable, reason: 'gone' });
  const [error] = (await failed) as [unknown];
  expect(error).toBeInstanceOf(ControlError);
  expect(error).toMatchObject({ code: 'target_unreachable' });
  expect(made.stream.destroyed).toBe(true);
});

it('closes the channel when it is destroyed', async () => {
  await using made = await duplex();
  made.stream.on('error', () => undefined).destroy(new Error('no more'));
  expect(await made.far.ended).toEqual({ code: CloseReason.Cancelled, reason: 'no more' });
});

it('still sends what was written before both ways ended', async () => {
  await using made = await duplex();
  const { stream, far } = made;
  far.end();
  stream.resume();
  stream.end(Buffer.alloc(400_000));
  await once(stream, 'close');
  let heard = 0;
  for await (const item of far) if (item.kind === 'data') heard += item.bytes.byteLength;
  expect(heard).toBe(400_000);
  expect((await far.ended).code).toBe(CloseReason.Ok);
});
