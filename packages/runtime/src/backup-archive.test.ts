import { createHash } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { BackupRow } from '@drawbridge/protocol/api';
import { ARCHIVE_LINE_BYTES_MAX, readArchive } from './backup-archive.ts';

const HEADER = {
  format: 'drawbridge-backup',
  version: 1,
  created_at: '2026-01-07T10:00:00.000Z',
  server_id: '0199b1c7-7a4c-7bbb-8ccc-0123456789ab',
  public_key: 'key',
  key_check: 'check',
  engine: 'sqlite',
  migrations: ['0001-core'],
};
const ROWS = [
  { table: 'agents', row: { agent_id: 'a', name: 'build-1', key: { $bytes: 'AAEC' } } },
  { table: 'agents', row: { agent_id: 'b', name: 'brücke', key: null } },
  { table: 'tasks', row: { id: 't', exit_code: 3 } },
];

const text = (...values: unknown[]) => values.map((value) => `${JSON.stringify(value)}\n`).join('');
const sha256 = (content: string) => createHash('sha256').update(content).digest('hex');

/** An archive of these lines, with a trailer that fits them unless `trailer` says otherwise. */
function archive(lines: readonly unknown[] = [HEADER, ...ROWS], trailer: object = {}): Buffer {
  const content = text(...lines);
  return gzipSync(content + text({ rows: { agents: 2, tasks: 1 }, sha256: sha256(content), mac: 'mac', ...trailer }));
}

/** In parts that end anywhere. */
async function* parts(bytes: Buffer, size = 7): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size);
}

const WHOLE = archive();

it('gives every row in order, and what the archive says of itself', async () => {
  const rows: BackupRow[] = [];
  const { header, trailer } = await readArchive(parts(WHOLE), { row: (row) => void rows.push(row) });
  expect(rows).toEqual(ROWS);
  expect(header).toEqual(HEADER);
  expect(trailer).toMatchObject({ rows: { agents: 2, tasks: 1 }, mac: 'mac' });
});

it('takes a table without rows for what it is', async () => {
  const { trailer } = await readArchive(parts(archive([HEADER, ...ROWS], { rows: { agents: 2, tasks: 1, users: 0 } })));
  expect(trailer.rows['users']).toBe(0);
});

describe('an archive that is not whole', () => {
  it('is refused wherever it is cut off', async () => {
    for (let length = 0; length < WHOLE.length; length += 1) {
      await expect(readArchive(parts(WHOLE.subarray(0, length), 64))).rejects.toMatchObject({
        code: 'invalid_request',
      });
    }
  });

  it('is refused wherever its text is cut off, compressed again', async () => {
    const whole = gunzipSync(WHOLE);
    for (let length = 0; length < whole.length - 1; length += 1) {
      const cut = gzipSync(whole.subarray(0, length), { level: 0 });
      await expect(readArchive(parts(cut, 1024))).rejects.toMatchObject({ code: 'invalid_request' });
    }
  });

  it('is refused whichever bit of its lines was flipped', async () => {
    const whole = gunzipSync(WHOLE);
    // What no check guards: the end of the last line, and the mac, which only the holder of the key can check.
    const end = whole.lastIndexOf('"mac"');
    for (let at = 0; at < end; at += 1) {
      const flipped = Buffer.from(whole);
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
      const altered = gzipSync(flipped, { level: 0 });
      await expect(readArchive(parts(altered, 1024)), `byte ${at}`).rejects.toMatchObject({
        code: expect.stringMatching(/^(invalid_request|unsupported)$/),
      });
    }
  });

  it.each([
    [
      'two rows in another order',
      archive([HEADER, ROWS[1], ROWS[0], ROWS[2]], { sha256: sha256(text(HEADER, ...ROWS)) }),
    ],
    ['a row left out', archive([HEADER, ROWS[0], ROWS[2]])],
    ['a row of a table it does not tell of', archive([HEADER, ...ROWS, { table: 'users', row: {} }])],
    ['a table it tells of and has not', archive([HEADER, ...ROWS], { rows: { agents: 2, tasks: 1, users: 1 } })],
    ['a second header', archive([HEADER, HEADER, ...ROWS])],
    ['no header', archive(ROWS)],
    ['a line after its end', gzipSync(Buffer.concat([gunzipSync(WHOLE), Buffer.from(text(ROWS[0]))]))],
    ['another archive after its end', Buffer.concat([WHOLE, WHOLE])],
    ['values that no column holds', archive([HEADER, { table: 'agents', row: { name: ['x'] } }, ROWS[1], ROWS[2]])],
    ['no gzip at all', Buffer.from(text(HEADER))],
    ['nothing at all', Buffer.alloc(0)],
  ])('is refused: %s', async (_, bytes) => {
    await expect(readArchive(parts(bytes, 512))).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringMatching(/^this is no whole backup: /),
    });
  });

  it('holds no line that is too long', async () => {
    const long = gzipSync(`${JSON.stringify(HEADER)}\n${'x'.repeat(ARCHIVE_LINE_BYTES_MAX + 1)}\n`);
    await expect(readArchive(parts(long, 65_536))).rejects.toThrow('a line is too long');
  });
});

it('says that a newer program has written it', async () => {
  await expect(readArchive(parts(archive([{ ...HEADER, version: 2 }, ...ROWS])))).rejects.toMatchObject({
    code: 'unsupported',
  });
});

it('rejects with what its visitor throws, and with what reading throws', async () => {
  const mistake = new Error('mine');
  const row = () => {
    throw mistake;
  };
  await expect(readArchive(parts(WHOLE), { row })).rejects.toBe(mistake);
  const broken = async function* () {
    yield WHOLE.subarray(0, 30);
    throw mistake;
  };
  await expect(readArchive(broken())).rejects.toBe(mistake);
});
