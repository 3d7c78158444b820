import { ControlError } from '@drawbridge/protocol';
import { types } from 'pg';

type ColumnParser = (text: string) => unknown;

const { INT2, INT4, INT8, OID, FLOAT4, FLOAT8, NUMERIC, BYTEA, BOOL } = types.builtins;

const PARSERS: ReadonlyMap<number, ColumnParser> = new Map<number, ColumnParser>([
  // The sum of int8 is numeric.
  ...[INT2, INT4, INT8, OID, FLOAT4, FLOAT8, NUMERIC].map((oid) => [oid, toNumber] as const),
  [BYTEA, toBytes],
  [BOOL, (text) => (text === 't' ? 1 : 0)],
]);

/** Finds what turns the text of a column of type `oid` into the value that SQLite would give. */
export function parseColumn(oid: number): ColumnParser {
  return PARSERS.get(oid) ?? ((text) => text);
}

function toNumber(text: string): number {
  const value = Number(text);
  if (Math.abs(value) <= Number.MAX_SAFE_INTEGER) return value;
  throw new ControlError('internal', `a column holds a number of ${text.length} digits, more than a program can count`);
}

/** PostgreSQL writes bytes as \x and two digits each. */
function toBytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text.slice(2), 'hex'));
}
