import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { TempDir } from '@drawbridge/testkit';
import { OutputLog } from './output-log.ts';

it('writes all it took, in order, before it is closed', async () => {
  await using dir = await TempDir.make();
  const written: number[] = [];
  const log = await OutputLog.create(dir.join('log'), {
    onWritten: (bytes) => void written.push(bytes),
    onFailed: (error) => expect.unreachable(String(error)),
  });
  const chunks = Array.from({ length: 50 }, (_, index) => Buffer.from(`${index}\n`));
  for (const chunk of chunks) log.append(chunk);
  const expected = Buffer.concat(chunks);
  expect(log.unwrittenBytes).toBe(expected.byteLength);
  const summary = await log.close();
  log.append(Buffer.from('too late'));

  expect(summary).toEqual({ bytes: expected.byteLength, sha256: createHash('sha256').update(expected).digest('hex') });
  expect(await log.close()).toBe(summary);
  expect(await readFile(dir.join('log'))).toEqual(expected);
  expect(written).toEqual(written.toSorted((a, b) => a - b));
  expect(written.at(-1)).toBe(expected.byteLength);
});

it('never writes to a file that is there already', async () => {
  await using dir = await TempDir.make();
  await writeFile(dir.join('log'), 'mine');
  const events = { onWritten: () => {}, onFailed: () => {} };
  await expect(OutputLog.create(dir.join('log'), events)).rejects.toMatchObject({ code: 'EEXIST' });
});
