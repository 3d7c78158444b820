import { ControlError } from '@drawbridge/protocol';
import type { BackupValue } from '@drawbridge/protocol/api';
import type { AnyRow } from '../store/backup-repository.ts';
import type { SqlValue } from '../store/bind.ts';

/** One row as a line of an archive, with its end. */
export function encodeRow(table: string, row: AnyRow): string {
  const values = Object.entries(row).map(([name, value]) => [name, encodeValue(table, name, value)] as const);
  return `${JSON.stringify({ table, row: Object.fromEntries(values) })}\n`;
}

/** What `encodeRow` was given. */
export function decodeRow(row: Readonly<Record<string, BackupValue>>): AnyRow {
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, decodeValue(value)]));
}

function encodeValue(table: string, name: string, value: SqlValue): BackupValue {
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString('base64') };
  const isNumber = typeof value === 'number';
  if (value === null || typeof value === 'string' || (isNumber && Number.isFinite(value))) return value;
  // The value is not named: it may be a secret.
  throw new ControlError('internal', `${table}.${name} holds a value that no archive can hold (${typeof value})`);
}

function decodeValue(value: BackupValue): SqlValue {
  return typeof value === 'object' && value !== null ? new Uint8Array(Buffer.from(value.$bytes, 'base64')) : value;
}
