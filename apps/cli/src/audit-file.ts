import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { AuditChain, GENESIS_HASH } from '@drawbridge/protocol';
import { AuditExportHeader, AuditExportLine } from '@drawbridge/protocol/api';
import type { AuditAnchor, AuditReport } from '@drawbridge/protocol/api';
import { auditHash, checkpointVerifier } from '@drawbridge/runtime/audit-crypto';
import { z } from 'zod';
import { UsageError } from './exit-codes.ts';

/** What a file is compared with besides itself. */
export interface FileExpectations {
  /** The control plane's public key, base64url; without it the file's own word is taken. */
  readonly key?: string | undefined;
  readonly anchors: readonly AuditAnchor[];
}

/** What was found, and whose log it is. */
export interface FileReport extends AuditReport {
  readonly server_id: string;
  readonly public_key: string;
  readonly exported_at: string;
}

/** Of a line that is not as it was written, what places it in the row. */
const Placed = z.object({ record: z.object({ seq: z.number().int(), hash: z.string() }) });

/** Verifies an export without asking anybody. Holds one line at a time. Throws UsageError for a file that is none. */
export async function verifyAuditFile(path: string, { key, anchors }: FileExpectations): Promise<FileReport> {
  const lines = createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY });
  let header: AuditExportHeader | undefined;
  const chain = new AuditChain(anchors);
  let isGenuine = (_checkpoint: Parameters<ReturnType<typeof checkpointVerifier>>[0]) => false;
  let lastSeq = 0;
  try {
    for await (const line of lines) {
      if (header === undefined) {
        header = parseHeader(path, line);
        isGenuine = verifierOf(path, header, key);
      } else {
        lastSeq = follow(chain, line, isGenuine, lastSeq);
      }
    }
  } catch (cause) {
    if (!(cause instanceof Error && 'syscall' in cause)) throw cause;
    throw new UsageError(`${path} cannot be read: ${cause.message}`, { cause });
  }
  if (header === undefined) throw new UsageError(`${path} is empty`);
  // The header's word needs no check of its own: a genuine checkpoint of the chain must agree with it.
  const { newest } = header;
  const end = { seq: newest?.seq ?? 0, hash: newest?.hash ?? GENESIS_HASH, checkpointSeq: newest?.seq ?? 0 };
  const { server_id, public_key, exported_at } = header;
  return { ...chain.end(end), server_id, public_key: key ?? public_key, exported_at };
}

/** Feeds one line to the chain; says which record comes before the next line. */
function follow(
  chain: AuditChain,
  line: string,
  isGenuine: ReturnType<typeof checkpointVerifier>,
  lastSeq: number,
): number {
  const value = parseJson(line);
  const parsed = AuditExportLine.safeParse(value);
  if (!parsed.success) {
    const placed = Placed.safeParse(value);
    const { seq, hash } = placed.success ? placed.data.record : { seq: lastSeq + 1, hash: '' };
    chain.unreadable(seq, hash);
    return seq;
  }
  if ('checkpoint' in parsed.data) {
    chain.checkpoint(parsed.data.checkpoint, isGenuine(parsed.data.checkpoint));
    return Math.max(lastSeq, parsed.data.checkpoint.seq);
  }
  chain.record(parsed.data.record, auditHash(parsed.data.record));
  return parsed.data.record.seq;
}

function parseHeader(path: string, line: string): AuditExportHeader {
  const parsed = AuditExportHeader.safeParse(parseJson(line));
  if (!parsed.success) throw new UsageError(`${path} is no export of an audit log that this program knows`);
  return parsed.data;
}

function verifierOf(path: string, header: AuditExportHeader, key: string | undefined) {
  const publicKey = key ?? header.public_key;
  try {
    return checkpointVerifier({ serverId: header.server_id, publicKey });
  } catch (cause) {
    const whose = key === undefined ? `the key in ${path}` : '--key';
    throw new UsageError(`${whose} is no Ed25519 public key: 32 bytes in base64url`, { cause });
  }
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
