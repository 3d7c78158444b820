import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { ControlError } from '@drawbridge/protocol';
import { BACKUP_VERSION, BackupHeader, BackupRow, BackupTrailer } from '@drawbridge/protocol/api';
import { byteLines } from './byte-lines.ts';

/** One row as a line. A longer one is neither written nor read. */
export const ARCHIVE_LINE_BYTES_MAX = 16 * 1024 * 1024;

/** Who looks at what an archive holds, in its order. Nothing is certain before `readArchive` has resolved. */
export interface ArchiveVisitor {
  header?(header: BackupHeader): void | Promise<void>;
  row?(row: BackupRow): void | Promise<void>;
}

/** What a whole archive says of itself. */
export interface ArchiveSummary {
  readonly header: BackupHeader;
  readonly trailer: BackupTrailer;
}

/**
 * Reads an archive to its end, one line at a time. Rejects with `invalid_request` when it is cut off, altered or none at all, and
 * with `unsupported` when a newer program has written it; what a visitor throws, it rejects with.
 */
export async function readArchive(
  source: AsyncIterable<Uint8Array>,
  visitor: ArchiveVisitor = {},
): Promise<ArchiveSummary> {
  const reader = new ArchiveReader(visitor);
  try {
    await pipeline(source, createGunzip(), async (bytes: AsyncIterable<Uint8Array>) => {
      for await (const line of byteLines(bytes, ARCHIVE_LINE_BYTES_MAX, () => damaged('a line is too long'))) {
        await reader.line(line);
      }
    });
  } catch (error) {
    if (isZlibError(error)) throw damaged(`${error.message} (gzip)`, error);
    throw error;
  }
  return reader.end();
}

/** Follows the lines: header, rows, trailer, and nothing after it. */
class ArchiveReader {
  readonly #visitor: ArchiveVisitor;
  readonly #hash = createHash('sha256');
  readonly #rows = new Map<string, number>();
  #header: BackupHeader | undefined;
  #trailer: BackupTrailer | undefined;

  constructor(visitor: ArchiveVisitor) {
    this.#visitor = visitor;
  }

  async line(line: Buffer): Promise<void> {
    if (this.#trailer !== undefined) throw damaged('it goes on after its end');
    const value = parseJson(line);
    if (this.#header === undefined) {
      this.#header = parseHeader(value);
      await this.#visitor.header?.(this.#header);
    } else {
      const trailer = BackupTrailer.safeParse(value);
      if (trailer.success) {
        this.#trailer = trailer.data;
        return;
      }
      await this.#row(value);
    }
    this.#hash.update(line).update('\n');
  }

  end(): ArchiveSummary {
    if (this.#header === undefined || this.#trailer === undefined) throw damaged('it is cut off');
    if (this.#hash.digest('hex') !== this.#trailer.sha256) throw damaged('it was altered: its SHA-256 is another one');
    const told = Object.entries(this.#trailer.rows).filter(([, count]) => count > 0);
    const isSame = told.length === this.#rows.size && told.every(([table, count]) => this.#rows.get(table) === count);
    if (!isSame) throw damaged('its rows are not those it tells of');
    return { header: this.#header, trailer: this.#trailer };
  }

  async #row(value: unknown): Promise<void> {
    const row = BackupRow.safeParse(value);
    if (!row.success) throw damaged('a line is no row');
    const { table } = row.data;
    this.#rows.set(table, (this.#rows.get(table) ?? 0) + 1);
    await this.#visitor.row?.(row.data);
  }
}

function parseHeader(value: unknown): BackupHeader {
  const parsed = BackupHeader.safeParse(value);
  if (!parsed.success) throw damaged('it does not begin as a backup does');
  if (parsed.data.version > BACKUP_VERSION) {
    const message = `the backup is of version ${parsed.data.version}, and this program reads ${BACKUP_VERSION} at most`;
    throw new ControlError('unsupported', message);
  }
  return parsed.data;
}

function parseJson(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString('utf8'));
  } catch {
    return undefined;
  }
}

function damaged(why: string, cause?: unknown): ControlError {
  return new ControlError('invalid_request', `this is no whole backup: ${why}`, cause === undefined ? {} : { cause });
}

/** zlib names its errors `Z_…`: what was compressed is cut off or altered. */
function isZlibError(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && error.code.startsWith('Z_');
}
