import { eventually, makePki, TempDir } from '@drawbridge/testkit';
import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { FrameHarness } from './frame-socket-fixture.ts';
import { giveMessageBack, takeMessage } from './message-pool.ts';

const LONG = 65_548;

it('uses memory that was given back for the next message, once', () => {
  const first = takeMessage(LONG);
  giveMessageBack(first.subarray(12));
  giveMessageBack(first);
  const next = takeMessage(LONG - 1);
  expect(next.buffer).toBe(first.buffer);
  expect(next.byteLength).toBe(LONG - 1);
  expect(takeMessage(LONG).buffer).not.toBe(first.buffer);
});

it('takes nothing back that is not its own, nor keeps what is small', () => {
  const strange = Buffer.alloc(LONG);
  giveMessageBack(strange);
  expect(takeMessage(LONG).buffer).not.toBe(strange.buffer);
  const small = takeMessage(1_000);
  giveMessageBack(small);
  expect(small.buffer.byteLength).toBe(1_000);
  expect(takeMessage(1_000).buffer).not.toBe(small.buffer);
});

it('keeps no more than a megabyte for later, and frees the rest', () => {
  const messages = Array.from({ length: 100 }, () => takeMessage(LONG));
  for (const message of messages) giveMessageBack(message);
  const buffers = new Set(messages.map(({ buffer }) => buffer));
  const again = Array.from({ length: 100 }, () => takeMessage(LONG));
  expect(again.filter(({ buffer }) => buffers.has(buffer))).toHaveLength(16);
  expect(messages.filter(({ byteLength }) => byteLength === 0)).toHaveLength(100 - 16);
});

it.each(['plain', 'tls'] as const)('passes messages on unharmed while their receiver takes none (%s)', async (kind) => {
  await using dir = await TempDir.make();
  const identity = kind === 'tls' ? (await makePki(dir.path)).server : undefined;
  await using harness = await FrameHarness.listening(identity);
  const from = await harness.accepting();
  const to = await harness.accepting();
  const heard: string[] = [];
  to.peer.on('message', (data) => heard.push(digest(data)));
  let passed = 0;
  const memory = new Set<ArrayBufferLike>();
  from.socket.listen({
    message(message) {
      passed += 1;
      if (typeof message !== 'string') memory.add(message.buffer);
      to.socket.send(message);
    },
    closed() {},
  });
  to.socket.listen({ message() {}, closed() {} });
  // More than the buffers of the system between them.
  to.peer.pause();
  const sent: string[] = [];
  for (let index = 0; index < 200; index += 1) {
    const message = Buffer.alloc(LONG, `${index} `);
    sent.push(digest(message));
    from.peer.send(message);
  }
  await eventually(() => passed === sent.length, { what: 'all of them to be passed on' });
  to.peer.resume();
  await eventually(() => heard.length === sent.length, { what: 'all of them to arrive' });
  expect(heard).toEqual(sent);
  // Each was copied into what is written, and its memory used for the next one.
  expect(memory.size).toBeLessThan(5);
});

function digest(data: unknown): string {
  if (!Buffer.isBuffer(data)) throw new Error('no message of bytes');
  return createHash('sha256').update(data).digest('hex');
}
