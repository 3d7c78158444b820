import { stripVTControlCharacters } from 'node:util';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { facts, table } from './table.ts';
import type { Column } from './table.ts';
import { widthOf } from './text-width.ts';

type Row = readonly [name: string, state: string];

const COLUMNS: readonly Column<Row>[] = [
  { header: 'NAME', cell: ([name]) => name },
  { header: 'STATE', cell: ([, state]) => state },
];

function shown(rows: readonly Row[], screenColumns?: number, columns = COLUMNS): string {
  return stripVTControlCharacters(table(columns, rows, screenColumns));
}

it('lines columns up, cells made plain', () => {
  expect(
    shown([
      ['build-1', 'online'],
      ['x\u001b[2J\n', ''],
    ]),
  ).toBe('NAME     STATE\nbuild-1  online\nx\n');
});

it('lines up what is wider than it is long', () => {
  expect(
    shown([
      ['你好', 'a'],
      ['build', 'b'],
    ]),
  ).toBe('NAME   STATE\n你好   a\nbuild  b\n');
});

it('shortens the widest cells until a line fits', () => {
  const rows: Row[] = [
    ['a'.repeat(30), 'online'],
    ['b', 'c'.repeat(50)],
  ];
  expect(shown(rows, 35)).toBe(
    `NAME              STATE\n${'a'.repeat(15)}…  online\nb                 ${'c'.repeat(16)}…\n`,
  );
});

it('shortens everything else before an id', () => {
  const columns = COLUMNS.map((column, index) => (index === 0 ? { ...column, isWhole: true } : column));
  const id = '01a1fe6b-4ad7-73ce-bd40-b474a2723683';
  expect(shown([[id, 'a long text that has no room']], 50, columns)).toContain(`${id}  a long text…\n`);
});

it('fits each line into the terminal, whatever is said', () => {
  const rows = fc.array(fc.tuple(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' })), { maxLength: 5 });
  fc.assert(
    fc.property(rows, fc.integer({ min: 4, max: 60 }), (some, screenColumns) => {
      const lines = shown(some, screenColumns).split('\n');
      expect(lines).toHaveLength(some.length + 2);
      for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(screenColumns);
    }),
  );
});

it('shows the facts that are known, whole and plain', () => {
  const text = facts([
    ['name', 'build-1'],
    ['version', ''],
    ['last heartbeat', `\u001b]0;owned\u0007${'x'.repeat(300)}`],
  ]);
  expect(stripVTControlCharacters(text)).toBe(`name            build-1\nlast heartbeat  ]0;owned${'x'.repeat(300)}\n`);
});

it('leaves extra columns out where they do not fit', () => {
  const columns: Column<Row>[] = [
    { header: 'NAME', cell: ([name]) => name, isWhole: true },
    { header: 'MORE', cell: () => 'something', isExtra: true },
    { header: 'STATE', cell: ([, state]) => state, isWhole: true },
  ];
  const rows: Row[] = [['a-machine', 'online']];
  expect(shown(rows, 28, columns)).toBe('NAME       MORE       STATE\na-machine  something  online\n');
  expect(shown(rows, 27, columns)).toBe('NAME       MORE      STATE\na-machine  somethi…  online\n');
  expect(shown(rows, 26, columns)).toBe('NAME       STATE\na-machine  online\n');
});
