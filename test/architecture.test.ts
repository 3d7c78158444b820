import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Who may import whom (ARCHITECTURE.md). What stands on neither side is refused. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'packages/protocol': [],
  'packages/link': ['packages/protocol'],
  'packages/client': ['packages/protocol', 'packages/link'],
  'packages/runtime': ['packages/protocol', 'packages/link'],
  'packages/testkit': ['packages/protocol', 'packages/link', 'packages/runtime'],
  'apps/control-plane': ['packages/protocol', 'packages/link', 'packages/runtime'],
  'apps/agent': ['packages/protocol', 'packages/link', 'packages/runtime'],
  'apps/cli': ['packages/protocol', 'packages/link', 'packages/client', 'packages/runtime'],
};

/** Inside the control plane: carriers -> nouns -> store, bus. A row lists what the folder must not import. */
const CARRIERS = ['http', 'ws', 'proxy', 'edge'];
const NOUNS = [
  'agents',
  'audit',
  'backup',
  'commands',
  'sessions',
  'tasks',
  'tunnels',
  'operators',
  'identity',
  'events',
  'idempotency',
  'groups',
  'bulk',
];
const FOUNDATIONS = ['store', 'bus', 'limits', 'observability'];

/** Packages that run in a browser too: no Node in them. */
const PURE = ['packages/protocol', 'packages/link', 'packages/client'];
/** A part of one of them that is for Node alone, with an entry of its own. */
const FOR_NODE = 'packages/client/src/node/';

/** Where the platform's own clock and dice may be used. */
const CLOCK_FILES = [
  'packages/link/src/clock.ts',
  'apps/control-plane/src/main.ts',
  'apps/agent/src/main.ts',
  'apps/cli/src/main.ts',
];

interface Import {
  readonly file: string;
  readonly specifier: string;
  /** The repository path it resolves to, for our own files. */
  readonly target: string | undefined;
}

const SOURCES = ['packages', 'apps'].flatMap((top) => filesBelow(join(ROOT, top)));
const PRODUCTION = SOURCES.filter((file) => !/\.test\.ts$|-fixture\.ts$/.test(file));
const IMPORTS = PRODUCTION.flatMap(importsOf);
/** What is type-checked, linted and formatted. */
const EVERYTHING = [
  ...SOURCES,
  ...['test', 'bench', 'scripts', 'examples'].flatMap((top) => filesBelow(join(ROOT, top))),
  'bin/drawbridge',
  'vitest.config.ts',
];

describe('who may import whom', () => {
  it('finds the sources it is about', () => {
    expect(PRODUCTION.length).toBeGreaterThan(150);
    expect(IMPORTS.some(({ target }) => target?.startsWith('packages/protocol') === true)).toBe(true);
  });

  it('keeps every package and app to its own row of the table', () => {
    const wrong = IMPORTS.filter(({ file, target }) => {
      if (target === undefined || unitOf(target) === unitOf(file)) return false;
      return !(MAY_IMPORT[unitOf(file)] ?? []).includes(unitOf(target));
    });
    expect(wrong.map(show)).toEqual([]);
  });

  it('lets the testkit into tests only', () => {
    const wrong = IMPORTS.filter(
      ({ file, target }) => unitOf(target ?? '') === 'packages/testkit' && unitOf(file) !== 'packages/testkit',
    );
    expect(wrong.map(show)).toEqual([]);
  });

  it('keeps Node out of what runs in a browser', () => {
    const wrong = IMPORTS.filter(
      ({ file, specifier }) =>
        PURE.includes(unitOf(file)) && !file.startsWith(FOR_NODE) && /^(node:|ws$|undici$|pino)/.test(specifier),
    );
    expect(wrong.map(show)).toEqual([]);
  });

  it('keeps what is for Node alone out of what a browser loads', () => {
    expect(PRODUCTION.filter((file) => file.startsWith(FOR_NODE))).not.toEqual([]);
    const wrong = IMPORTS.filter(
      ({ file, target }) => target?.startsWith(FOR_NODE) === true && !file.startsWith(FOR_NODE),
    );
    expect(wrong.map(show)).toEqual([]);
  });

  it('lets no noun see a carrier, and neither store nor bus see a noun', () => {
    const wrong = IMPORTS.filter(({ file, target }) => {
      const from = folderOf(file);
      const to = folderOf(target ?? '');
      if (from === undefined || to === undefined) return false;
      if (NOUNS.includes(from)) return CARRIERS.includes(to);
      return FOUNDATIONS.includes(from) && (CARRIERS.includes(to) || NOUNS.includes(to));
    });
    expect(wrong.map(show)).toEqual([]);
  });

  it('shows no noun a request, a WebSocket or an SQL string', () => {
    const wrong = IMPORTS.filter(
      ({ file, specifier }) =>
        NOUNS.includes(folderOf(file) ?? '') && /^(fastify|ws|node:http|node:sqlite)$/.test(specifier),
    );
    expect(wrong.map(show)).toEqual([]);
  });
});

describe('style that a machine can hold', () => {
  it('keeps time and dice in the clock', () => {
    const wrong = PRODUCTION.filter((file) => PURE.includes(unitOf(file)) || /apps\/(control-plane|agent)/.test(file))
      .filter((file) => !CLOCK_FILES.includes(file) && !file.includes('/http/page/'))
      .filter((file) => /\bDate\.now\(|(?<![.#\w])set(Timeout|Interval)\((?!\w+:)/.test(code(file)));
    expect(wrong).toEqual([]);
  });

  it('has no file over 300 lines', () => {
    expect(PRODUCTION.filter((file) => read(file).split('\n').length > 300)).toEqual([]);
  });

  it('has no any', () => {
    expect(SOURCES.filter((file) => /\bas any\b|: any\b/.test(code(file)))).toEqual([]);
  });

  it('silences no compiler, no linter and no formatter without a word why', () => {
    expect(EVERYTHING.length).toBeGreaterThan(900);
    expect(EVERYTHING.flatMap((file) => unexplained(read(file)).map((line) => `${file}: ${line}`))).toEqual([]);
  });
});

describe('what counts as a word why', () => {
  // What opens a comment is added below: here it would be one.
  it.each([
    'oxlint-disable-next-line no-eval',
    'oxlint-disable-next-line no-eval --',
    'oxlint-disable-line no-eval',
    'oxlint-disable no-eval',
    'oxlint-disable',
    'eslint-disable-next-line no-eval because',
    'eslint-disable-line',
    'eslint-disable no-eval, no-var',
    '@ts-expect-error',
    '@ts-expect-error --',
    '@ts-ignore',
    '@ts-nocheck',
    'prettier-ignore',
    'prettier-ignore-start',
  ])('nothing is one in: %s', (words) => {
    for (const comment of [
      `// ${words}`,
      `//${words}`,
      `/// ${words}`,
      `/* ${words} */`,
      `/*${words}*/`,
      ` * ${words}`,
    ]) {
      expect(unexplained(`first();\n  ${comment}\nlast();`)).toEqual([comment.trim()]);
      expect(unexplained(`first(); ${comment}`).length).toBe(comment.startsWith(' *') ? 0 : 1);
    }
  });

  it.each([
    'oxlint-disable-next-line no-eval -- this is a REPL',
    'eslint-disable no-eval, no-var -- made by a generator',
    '@ts-expect-error the types of it are older than it',
    '@ts-ignore: only one of two platforms has it',
    '@ts-nocheck -- made by a generator',
  ])('what follows is one in: %s', (words) => {
    for (const comment of [`// ${words}`, `/* ${words} */`]) expect(unexplained(comment)).toEqual([]);
  });

  it('the comment before a prettier-ignore is one, because nothing may follow it', () => {
    const words = 'prettier-ignore';
    expect(unexplained(`// A table is read by its columns.\n// ${words}\nrows();`)).toEqual([]);
    expect(unexplained(`rows();\n// ${words}\nrows();`)).toHaveLength(1);
  });

  it('words that are in no comment silence nothing', () => {
    expect(unexplained("const words = 'oxlint-disable-next-line, @ts-ignore, prettier-ignore';")).toEqual([]);
  });
});

function filesBelow(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /\.(ts|js)$/.test(entry.name) && !entry.name.endsWith('.d.ts'))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
    .filter((file) => !file.includes('node_modules'));
}

function importsOf(file: string): Import[] {
  const specifiers = [
    ...read(file).matchAll(/(?:^|\n)\s*(?:import|export)\b[^;'"]*?(?:from\s*)?['"]([^'"]+)['"]/g),
  ].map((match) => match[1] ?? '');
  return specifiers.map((specifier) => ({ file, specifier, target: targetOf(file, specifier) }));
}

function targetOf(file: string, specifier: string): string | undefined {
  if (specifier.startsWith('.')) return join(dirname(file), specifier);
  return specifier.startsWith('@drawbridge/')
    ? `packages/${specifier.slice('@drawbridge/'.length)}/src/index.ts`
    : undefined;
}

/** `packages/link` of `packages/link/src/clock.ts`. */
function unitOf(file: string): string {
  return file.split('/').slice(0, 2).join('/');
}

/** `commands` of `apps/control-plane/src/commands/delivery.ts`. */
function folderOf(file: string): string | undefined {
  return /^apps\/control-plane\/src\/([a-z-]+)\//.exec(file)?.[1];
}

function read(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}

/** The file without its comments. */
function code(file: string): string {
  return read(file).replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
}

/** A comment that silences the compiler, a linter or the formatter, and what follows in its line. */
const SILENCER =
  /(?:\/\/+|\/\*+|^\s*\*)\s*(?<name>@ts-(?:expect-error|ignore|nocheck)|(?:ox|es)lint-disable|prettier-ignore)(?<rest>.*)/;

/** The lines that silence without saying why. */
function unexplained(text: string): string[] {
  const lines = text.split('\n');
  return lines.flatMap((line, index) => {
    const { name, rest = '' } = SILENCER.exec(line)?.groups ?? {};
    if (name === undefined || isExplained(name, rest, lines[index - 1] ?? '')) return [];
    return [line.trim()];
  });
}

function isExplained(name: string, rest: string, lineBefore: string): boolean {
  // Prettier does not know its own word once something follows it.
  if (name.startsWith('prettier')) return /^\s*(?:\/\/|\*|\/\*).*\w/.test(lineBefore);
  // A linter takes what comes before the dashes for names of rules.
  return name.startsWith('@ts') ? /\w/.test(rest) : /\s--\s.*\w/.test(rest);
}

function show({ file, specifier }: Import): string {
  return `${file} imports ${specifier}`;
}
