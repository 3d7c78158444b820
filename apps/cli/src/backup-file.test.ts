import { createHash } from 'node:crypto';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { TempDir } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { saveBackup } from './backup-file.ts';

const HEADER = {
  format: 'drawbridge-backup',
  version: 1,
  created_at: '2026-01-07T10:00:00.000Z',
  server_id: '0199b1c7-7a4c-7bbb-8ccc-0123456789ab',
  public_key: 'key',
  key_check: 'check',
  engine: 'sqlite',
  migrations: [],
};
const LINES = `${JSON.stringify(HEADER)}\n${JSON.stringify({ table: 'users', row: { id: 'u' } })}\n`;
const SHA256 = createHash('sha256').update(LINES).digest('hex');
const WHOLE = gzipSync(`${LINES}${JSON.stringify({ rows: { users: 1 }, sha256: SHA256, mac: 'mac' })}\n`);

async function* parts(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < bytes.length; from += 10) yield bytes.subarray(from, from + 10);
}

it('puts a whole archive in the place of the file, for its owner alone, and says what is in it', async () => {
  await using dir = await TempDir.make();
  const file = dir.join('a.backup');
  await writeFile(file, 'older', { mode: 0o644 });
  expect(await saveBackup(parts(WHOLE), file)).toEqual({
    file,
    created_at: HEADER.created_at,
    server_id: HEADER.server_id,
    bytes: WHOLE.length,
    rows: 1,
    tables: { users: 1 },
  });
  expect(await readFile(file)).toEqual(WHOLE);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
});

it('leaves the file as it was when the archive is not whole', async () => {
  await using dir = await TempDir.make();
  const file = dir.join('a.backup');
  await writeFile(file, 'older');
  await expect(saveBackup(parts(WHOLE.subarray(0, -9)), file)).rejects.toMatchObject({ code: 'invalid_request' });
  expect(await readFile(file, 'utf8')).toBe('older');
  expect(await readdir(dir.path)).toEqual(['a.backup']);
});

it('says where it cannot write', async () => {
  await using dir = await TempDir.make();
  const file = dir.join('gone/a.backup');
  await expect(saveBackup(parts(WHOLE), file)).rejects.toMatchObject({
    name: 'UsageError',
    message: /cannot be written: ENOENT/,
  });
});
