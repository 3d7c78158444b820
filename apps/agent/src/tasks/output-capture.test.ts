import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { settle } from '@drawbridge/testkit';
import { AGENT_LIMITS } from '../limits.ts';
import { OutputCapture } from './output-capture.ts';

/** A disk that writes when the test says so. */
class SlowSink {
  taken = '';
  unwrittenBytes = 0;

  append(chunk: Uint8Array): void {
    this.taken += Buffer.from(chunk).toString();
    this.unwrittenBytes += chunk.byteLength;
  }
}

function captureOf(outputBytesMax: number) {
  const capture = new OutputCapture(outputBytesMax);
  const [log, result] = [new SlowSink(), new SlowSink()];
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  capture.keepIn(log, result);
  return { capture, log, result, stdout, stderr, done: capture.read(stdout, stderr) };
}

it('keeps both streams in order of arrival, and stdout alone as the result', async () => {
  const { log, result, stdout, stderr, done } = captureOf(100);
  for (const [stream, text] of [
    [stdout, 'a'],
    [stderr, 'b'],
    [stdout, 'c'],
  ] as const) {
    stream.write(text);
    await settle();
  }
  stdout.end();
  stderr.end();
  await done;
  expect([log.taken, result.taken]).toEqual(['abc', 'ac']);
});

it('stops reading both streams while the disk is behind, and goes on when it has caught up', async () => {
  const { capture, log, result, stdout, stderr } = captureOf(Infinity);
  stderr.write(Buffer.alloc(AGENT_LIMITS.outputUnwrittenBytesMax));
  await settle();
  expect([stdout.isPaused(), stderr.isPaused()]).toEqual([true, true]);

  log.unwrittenBytes = AGENT_LIMITS.outputUnwrittenBytesResume;
  result.unwrittenBytes = 1;
  capture.written();
  expect(stdout.isPaused()).toBe(true);
  result.unwrittenBytes = 0;
  capture.written();
  expect([stdout.isPaused(), stderr.isPaused()]).toEqual([false, false]);
  capture.stop();
});

it('cuts at the limit, says so, and reads on without keeping', async () => {
  const { capture, log, stdout, stderr, done } = captureOf(5);
  stdout.write('four');
  await settle();
  expect(capture.failed.aborted).toBe(false);
  stdout.write('more');
  stderr.write('dropped');
  stdout.end();
  stderr.end();
  await done;
  expect(log.taken).toBe('fourm');
  expect(capture.failed.reason).toMatchObject({ code: 'output_limit' });
});

it('lets the process run on into nothing when its output cannot be written', async () => {
  const { capture, log, stdout, stderr, done } = captureOf(Infinity);
  stdout.write(Buffer.alloc(AGENT_LIMITS.outputUnwrittenBytesMax));
  await settle();
  log.unwrittenBytes = 0;
  capture.fail(Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC', errno: -28 }));
  expect(stdout.isPaused()).toBe(false);
  stdout.end('more');
  stderr.end();
  expect(capture.failed.reason).toMatchObject({ code: 'disk_full' });
  await done;
  expect(log.taken).not.toContain('more');
});
