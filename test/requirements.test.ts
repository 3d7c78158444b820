import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const STATES = ['done', 'partly', 'later'];

/** How many requirements each of the source documents has. */
const TAGS_OF = { S0: 136, S1: 30, S2: 158, S3: 228 } as const;

interface Row {
  readonly tag: string;
  readonly what: string;
  readonly state: string;
  /** `path › name of the test`, or nothing. */
  readonly test: string;
}

const rows = rowsOf(readFileSync(join(ROOT, 'docs/requirements.md'), 'utf8'));
const named = rows.filter(({ test }) => test !== '');

it('has every requirement of the source documents, once and in order', () => {
  const wanted = Object.entries(TAGS_OF).flatMap(([source, count]) =>
    Array.from({ length: count }, (_, index) => `${source}-${String(index + 1).padStart(3, '0')}`),
  );
  expect(rows.map(({ tag }) => tag)).toEqual(wanted);
});

it('says of each in words what it is, and its state', () => {
  expect(rows.filter(({ what, state }) => what === '' || !STATES.includes(state))).toEqual([]);
});

it('says of what is partly there what is missing', () => {
  expect(rows.filter(({ what, state }) => state === 'partly' && !what.includes('missing: '))).toEqual([]);
});

it('calls nothing done without a test', () => {
  expect(rows.filter(({ state, test }) => state === 'done' && test === '')).toEqual([]);
  expect(rows.filter(({ state, test }) => state === 'later' && test !== '')).toEqual([]);
});

it('names tests that exist', () => {
  expect(named.length).toBeGreaterThan(0);
  expect(named.filter(({ test }) => !isTest(test)).map(({ tag, test }) => `${tag}: ${test}`)).toEqual([]);
});

function rowsOf(page: string): Row[] {
  const cells = Array.from(page.matchAll(/^\|(.+)\|$/gm), ([, line = '']) =>
    line.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll('\\|', '|')),
  );
  return cells.flatMap(([tag = '', what = '', state = '', test = '']) =>
    /^S\d-\d+$/.test(tag) ? [{ tag, what, state, test: test.replace(/^—$/, '').replaceAll('`', '') }] : [],
  );
}

/** True for a test file in which the name stands as a test is named: between quotes, perhaps with a tag behind it. */
function isTest(test: string): boolean {
  const [path = '', name = ''] = test.split(' › ');
  if (!path.endsWith('.test.ts') || name === '' || !existsSync(join(ROOT, path))) return false;
  const source = readFileSync(join(ROOT, path), 'utf8');
  return ["'", '"', '`'].some((quote) => source.includes(`${quote}${name}`));
}
