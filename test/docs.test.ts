import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  AgentMessage,
  CloseReason,
  FrameType,
  OPERATIONS,
  ServerMessage,
  WsClose,
  decodeMessage,
} from '@drawbridge/protocol';
import { TempDir, runCli } from '@drawbridge/testkit';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Block, blocksOf, commandsOf, linksOf, slugsOf } from './markdown.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PAGES = ['.', 'docs', 'docs/decisions', 'packages/client'].flatMap((dir) =>
  readdirSync(join(ROOT, dir))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(dir, name)),
);

const Typed = z.looseObject({ type: z.string() });

const read = (page: string) => readFileSync(join(ROOT, page), 'utf8');

describe('links', () => {
  it.each(PAGES)('of %s lead somewhere', (page) => {
    expect(linksOf(read(page)).filter((link) => !leadsSomewhere(page, link))).toEqual([]);
  });

  it('to a file or a heading that is not there are found', () => {
    expect(
      linksOf('[a](gone.md) ![b](README.md#try-it) [c](README.md#gone)').map((link) => leadsSomewhere('x.md', link)),
    ).toEqual([false, true, false]);
  });

  it('reach every page', () => {
    const reached = new Set(PAGES.flatMap((page) => linksOf(read(page)).map((link) => pathOf(page, link))));
    const folders = [...reached].filter((path) => PAGES.some((page) => dirname(page) === path));
    const lost = PAGES.filter((page) => !reached.has(page) && !folders.includes(dirname(page)));
    expect(lost.filter((page) => page !== 'README.md')).toEqual([]);
  });
});

describe('the commands of the README', () => {
  const commands = blocksOf(read('README.md')).filter(isShell).flatMap(commandsOf);

  it('are npm scripts that exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const named = commands
      .filter(([program]) => program === 'npm')
      .map(([, verb = '', script = '']) => (verb === 'run' ? script : verb));
    expect(named).toEqual(expect.arrayContaining(['start', 'test']));
    expect(named.filter((name) => !Object.hasOwn(scripts, name) && name !== 'install')).toEqual([]);
  });

  const words = commands.filter(([program]) => program === 'drawbridge').map(([, ...rest]) => rest);

  it.each([...new Set(words.map((line) => verbOf(line).join(' ')))])(
    'drawbridge %s has help that knows all its options',
    async (verb) => {
      const { code, stdout } = await runCli([...helpOf(verb.split(' ')), '--help']);
      expect(code).toBe(0);
      const used = words.filter((line) => verbOf(line).join(' ') === verb).flatMap(optionsOf);
      expect(used.filter((option) => !new RegExp(`(^|[\\s,[])${option}(?![\\w-])`, 'm').test(stdout))).toEqual([]);
      expect(stdout).toContain(verb.split(' ').at(-1));
    },
  );
});

describe('the configurations', () => {
  const inReadme = blocksOf(read('README.md')).flatMap(({ note, text }) => {
    const program = /^check: (agent|server)$/.exec(note)?.[1];
    return program === undefined ? [] : [{ program, text }];
  });
  const inExamples = [
    { program: 'agent', text: read('examples/agent.yaml') },
    { program: 'server', text: read('examples/drawbridge.yaml') },
  ];

  it('of the README are all marked for the program they are for', () => {
    const yaml = blocksOf(read('README.md')).filter(({ language }) => language === 'yaml');
    expect(yaml.length).toBeGreaterThan(0);
    expect(inReadme).toHaveLength(yaml.length);
  });

  it.each([...inReadme, ...inExamples])('for $program pass --check-config: $text', async ({ program, text }) => {
    await using dir = await TempDir.make('drawbridge-docs-');
    const file = dir.join('config.yaml');
    await writeFile(file, text);
    const { code, stderr } = await runCli([program, '--config', file, '--check-config']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });
});

it.each(['agent', 'server'])('docs/configuration.md tells of every key of the %s', async (program) => {
  const page = read('docs/configuration.md');
  const { stdout } = await runCli([program, '--print-config']);
  const keys = keysOf(stdout);
  expect(keys.length).toBeGreaterThan(10);
  const isTold = ([section, key]: readonly [string, string]) =>
    ['`' + section + '.' + key, '`.' + key + '`', '`' + section + '.*`', '`' + section + '`'].some((text) =>
      page.includes(text),
    );
  expect(keys.filter((key) => !isTold(key))).toEqual([]);
});

describe('PROTOCOL.md', () => {
  const page = read('PROTOCOL.md').replaceAll(/ {2,}\|/g, ' |');

  it('quotes frames as the vectors have them', () => {
    const { frames } = JSON.parse(read('packages/protocol/vectors/frames.json')) as {
      frames: { name: string; hex: string }[];
    };
    const quotes = [...page.matchAll(/^([0-9a-f ]{24,})  # (.+)$/gm)].map(([, hex = '', name = '']) => ({
      name,
      hex: hex.replaceAll(' ', ''),
    }));
    expect(quotes.length).toBeGreaterThan(3);
    expect(frames).toEqual(expect.arrayContaining(quotes.map((quote) => expect.objectContaining(quote))));
  });

  const messages = blocksOf(page)
    .filter(({ language }) => language === 'json')
    .map(({ text }) => ({ text, type: Typed.parse(JSON.parse(text)).type }));

  it.each(messages)('shows a message $type that its receiver takes whole', ({ text }) => {
    const decoded = [decodeMessage(AgentMessage, text), decodeMessage(ServerMessage, text)];
    expect(decoded.flatMap((one) => (one.ok ? [one.message] : []))).toContainEqual(JSON.parse(text));
  });

  it('shows a message of every type', () => {
    const types = [AgentMessage, ServerMessage].flatMap(({ options }) => options.map(({ shape }) => shape.type.value));
    expect(new Set(messages.map(({ type }) => type))).toEqual(new Set<string>(types));
  });

  it('names every operation, every close code and every type of frame', () => {
    expect(Object.keys(OPERATIONS).filter((name) => !page.includes(`| \`${name}\` |`))).toEqual([]);
    expect(Object.values(WsClose).filter((code) => !page.includes(`\n| ${code} |`))).toEqual([]);
    expect(Object.values(CloseReason).filter((code) => !page.includes(`\n| ${code} | `))).toEqual([]);
    const types = Object.values(FrameType).map((type) => `| 0x${type.toString(16).padStart(2, '0').toUpperCase()} |`);
    expect(types.filter((row) => !page.includes(row.replace('0X', '0x')))).toEqual([]);
  });
});

/** `section.key` of a printed configuration; a key at the top is a section without keys. */
function keysOf(yaml: string): [section: string, key: string][] {
  let section = '';
  return yaml.split('\n').flatMap((line) => {
    const [, indent = '', name = ''] = /^( *)([a-z_]+):/.exec(line) ?? [];
    if (indent === '') section = name === '' ? section : name;
    return indent.length === 2 && section !== 'providers' ? [[section, name]] : [];
  });
}

/** A relative link's target, from the root of the repository. */
function pathOf(page: string, link: string): string {
  return relative(ROOT, join(ROOT, dirname(page), link.split('#', 1)[0] ?? '')) || '.';
}

function leadsSomewhere(page: string, link: string): boolean {
  const [file = '', heading] = link.split('#', 2);
  const path = file === '' ? page : pathOf(page, link);
  if (!existsSync(join(ROOT, path))) return false;
  return heading === undefined || slugsOf(read(path)).includes(heading);
}

function isShell({ language }: Block): boolean {
  return language === 'sh';
}

/** `agents ls`, `run`, `agent enroll`: the leading words that are neither names nor values. */
function verbOf(words: readonly string[]): string[] {
  const groups = ['agents', 'audit', 'context', 'groups', 'tasks', 'join-token', 'users', 'roles', 'tokens', 'tunnels'];
  const [first = '', second = ''] = words;
  const isPair = groups.includes(first) || (first === 'agent' && second === 'enroll');
  return isPair ? [first, second] : [first];
}

/** `agent enroll` shares the help of `agent`. */
function helpOf(verb: readonly string[]): readonly string[] {
  return verb[0] === 'agent' ? ['agent'] : verb;
}

function optionsOf(words: readonly string[]): string[] {
  return words.filter((word) => /^--?[a-z]/.test(word));
}
