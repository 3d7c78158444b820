import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { settle } from '../../../packages/testkit/src/fake-clock.ts';
import { Pair } from './stdio.ts';

function pair() {
  const input = new PassThrough();
  const output = new PassThrough();
  const made = new Pair(input, output);
  const errors: Error[] = [];
  made.on('error', (error) => errors.push(error));
  return { input, output, made, errors };
}

it('reads from the one, writes to the other, and each ends for itself', async () => {
  const { input, output, made } = pair();
  const heard: string[] = [];
  made.setEncoding('utf8').on('data', (chunk: string) => heard.push(chunk));
  output.setEncoding('utf8');
  input.end('in');
  await settle();
  expect([heard, made.readableEnded, made.destroyed]).toEqual([['in'], true, false]);
  made.end('out');
  await settle();
  expect([output.read(), output.writableEnded]).toEqual(['out', true]);
});

it('lets its input wait while nobody reads', async () => {
  const { input, made } = pair();
  let accepted = 0;
  for (let turn = 0; turn < 200; turn += 1) {
    if (!input.writableNeedDrain) accepted += input.write(Buffer.alloc(16_384)) ? 1 : 0;
    await settle();
  }
  expect(accepted).toBeLessThan(20);
  made.destroy();
});

it('is gone when either of them fails, or nobody reads any more', async () => {
  const broken = pair();
  const error = new Error('EIO');
  broken.input.destroy(error);
  await settle();
  expect([broken.errors, broken.output.destroyed]).toEqual([[error], true]);
  const closed = pair();
  closed.output.destroy();
  await settle();
  expect([closed.made.destroyed, closed.input.destroyed]).toEqual([true, true]);
});
