import { ControlError } from '@drawbridge/protocol';
import { TempDir } from '@drawbridge/testkit';
import { writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Alias } from './config-aliases.ts';
import { SecretText } from './config-fields.ts';
import { type ConfigSources, loadConfig, printConfig } from './load-config.ts';
import { Secret } from './secret.ts';

const Config = z
  .strictObject({
    listen: z
      .strictObject({
        host: z.string().default('127.0.0.1'),
        port: z.int().default(7400),
        tls: z.strictObject({ client_auth: z.enum(['off', 'require']).default('off') }).optional(),
      })
      .prefault({}),
    auth: z.strictObject({ token: SecretText.optional(), local: z.boolean().default(true) }).prefault({}),
    ports: z.array(z.int()).default([]),
    labels: z.record(z.string(), z.string()).default({}),
    providers: z
      .record(z.string(), z.strictObject({ binary: z.string(), args: z.array(z.string()).default([]) }))
      .default({}),
    drain_timeout: z.number().positive().default(30),
  })
  .refine(({ auth, ports }) => auth.local || ports.length > 0, { path: ['auth', 'local'], error: 'needs ports' });

const ALIASES: readonly Alias[] = [
  { from: ['drainMs'], to: ['drain_timeout'], convert: (ms) => (typeof ms === 'number' ? ms / 1000 : ms) },
  { from: ['listenPort'], to: ['listen', 'port'] },
  { from: ['bindTo'], to: ['listen', 'host'] },
];

const ENV_NAMES = { OLD_TOKEN: ['auth', 'token'] };

let dir: TempDir;
beforeAll(async () => {
  dir = await TempDir.make();
});
afterAll(() => dir[Symbol.asyncDispose]());

async function load(yaml: string, sources: Partial<ConfigSources> = {}) {
  const file = dir.join('test.yaml');
  await writeFile(file, yaml);
  return loadConfig(Config, {
    file,
    env: {},
    aliases: ALIASES,
    envNames: ENV_NAMES,
    ...sources,
  });
}

/** What is wrong, a line each, without the name of the directory. */
async function faults(yaml: string, sources: Partial<ConfigSources> = {}): Promise<string[]> {
  const error: unknown = await load(yaml, sources).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ControlError)) throw new Error('not a ControlError', { cause: error });
  expect(error.code).toBe('invalid_request');
  return error.message.replaceAll(`${dir.path}/`, '').split('\n');
}

it('has defaults, and is frozen all through', () => {
  const config = loadConfig(Config, { env: {} });
  expect(config).toMatchObject({ listen: { host: '127.0.0.1', port: 7400 }, drain_timeout: 30 });
  expect(Object.isFrozen(config) && Object.isFrozen(config.listen) && Object.isFrozen(config.ports)).toBe(true);
});

it('takes an empty file for defaults', async () => {
  expect(await load('# nothing\n')).toEqual(loadConfig(Config, { env: {} }));
});

it('lets the environment win over the file, and the command line over both', async () => {
  const yaml = 'listen: { host: a, port: 1, tls: { client_auth: require } }\ndrain_timeout: 1';
  const env = { DRAWBRIDGE_LISTEN_PORT: '2', DRAWBRIDGE_DRAIN_TIMEOUT: '2.5', DRAWBRIDGE_LISTEN_HOST: '' };
  const overrides = { listen: { host: undefined, port: 3 } };
  expect(await load(yaml, { env, overrides })).toMatchObject({
    listen: { host: 'a', port: 3, tls: { client_auth: 'require' } },
    drain_timeout: 2.5,
  });
});

describe('environment', () => {
  it.each<[env: Record<string, string>, expected: object]>([
    [{ DRAWBRIDGE_LISTEN_TLS_CLIENT_AUTH: 'require' }, { listen: { tls: { client_auth: 'require' } } }],
    [{ DRAWBRIDGE_PORTS: '1, 2' }, { ports: [1, 2] }],
    [{ DRAWBRIDGE_PORTS: '[1, 2]' }, { ports: [1, 2] }],
    [{ DRAWBRIDGE_LISTEN_HOST: '12' }, { listen: { host: '12' } }],
    [{ DRAWBRIDGE_LABELS: '{ site: berlin }' }, { labels: { site: 'berlin' } }],
    [{ DRAWBRIDGE_LABELS_SITE: 'berlin' }, { labels: { site: 'berlin' } }],
    [
      { DRAWBRIDGE_PROVIDERS_MY_TOOL_BINARY: 'tool', DRAWBRIDGE_PROVIDERS_MY_TOOL_ARGS: '-x,-y' },
      { providers: { my_tool: { binary: 'tool', args: ['-x', '-y'] } } },
    ],
    [{ DRAWBRIDGE_AUTH_LOCAL: 'false', DRAWBRIDGE_PORTS: '1' }, { auth: { local: false } }],
    [{ DRAWBRIDGE_URL: 'http://somebody-elses', DRAWBRIDGE_LISTEN_X: '1', HOME: '/' }, { listen: { port: 7400 } }],
  ])('%j', async (env, expected) => {
    expect(await load('', { env })).toMatchObject(expected);
  });

  it('knows the names of others, and refuses both with different values', async () => {
    expect((await load('', { env: { OLD_TOKEN: 'a' } })).auth.token?.reveal()).toBe('a');
    expect((await load('', { env: { OLD_TOKEN: 'a', DRAWBRIDGE_AUTH_TOKEN: 'a' } })).auth.token?.reveal()).toBe('a');
    expect(await faults('', { env: { OLD_TOKEN: 'hunter2', DRAWBRIDGE_AUTH_TOKEN: 'b' } })).toEqual([
      'OLD_TOKEN: auth.token: is set to something else by DRAWBRIDGE_AUTH_TOKEN',
    ]);
  });
});

describe('interpolation', () => {
  it('replaces variables, falls back, and knows an escape', async () => {
    const yaml = 'labels: { a: "x${A}y${B:-b}z", c: "${EMPTY:-c}", d: "$${A}", e: "${B:-}" }';
    expect((await load(yaml, { env: { A: '1', EMPTY: '' } })).labels).toEqual({ a: 'x1ybz', c: 'c', d: '${A}', e: '' });
  });

  it('gives a key the type it wants', async () => {
    const yaml =
      'listen: { port: "${PORT}" }\nlabels: { n: "${PORT}" }\nports: ["${PORT}"]\ndrainMs: ${MS}\nbindTo: ${PORT}';
    expect(await load(yaml, { env: { PORT: '80', MS: '1500' } })).toMatchObject({
      listen: { port: 80, host: '80' },
      labels: { n: '80' },
      ports: [80],
      drain_timeout: 1.5,
    });
  });

  it('does not look into what it put in', async () => {
    expect((await load('labels: { a: "${A}" }', { env: { A: '${B}' } })).labels).toEqual({ a: '${B}' });
  });

  it('names every variable that is missing, and where, once', async () => {
    expect(
      await faults('listen: { port: "${NO_PORT}" }\nproviders: { x: { binary: b, args: ["${NO_ARG}"] } }'),
    ).toEqual([
      'test.yaml: listen.port: the environment variable NO_PORT is not set',
      'test.yaml: providers.x.args.0: the environment variable NO_ARG is not set',
    ]);
  });
});

describe('what is wrong', () => {
  it('is told all at once, with where it was written', async () => {
    const yaml = 'listen: { port: high, hots: x }\nextra: 1\nlistenPort: 5\ndrainMs: -1000';
    expect(await faults(yaml, { env: { DRAWBRIDGE_PORTS: 'x' }, overrides: { auth: { local: 'maybe' } } })).toEqual([
      'test.yaml: listenPort: is another name of listen.port, which is set to something else',
      expect.stringMatching(/^test\.yaml: listen\.port: .*expected number/),
      'test.yaml: listen.hots: unknown key',
      expect.stringMatching(/^command line: auth\.local: .*expected boolean/),
      expect.stringMatching(/^DRAWBRIDGE_PORTS: ports\.0: .*expected number/),
      expect.stringMatching(/^test\.yaml: drainMs: /),
      'test.yaml: extra: unknown key',
    ]);
  });

  it('may be a combination', async () => {
    expect(await faults('auth: { local: false }')).toEqual(['test.yaml: auth.local: needs ports']);
  });

  it('never quotes a secret', async () => {
    expect((await faults('auth: { token: [hunter2] }')).join('\n')).not.toContain('hunter2');
  });

  it.each([
    ['a: 1\na: 2', ['test.yaml:2:1: Map keys must be unique']],
    [
      'listen:\n  port: 1\n bad',
      [expect.stringMatching(/^test\.yaml:3:\d+: /), expect.stringMatching(/^test\.yaml:3:/)],
    ],
    ['- a', ['test.yaml: expected keys and values at the top']],
    ['just text', ['test.yaml: expected keys and values at the top']],
  ])('in YAML has its line: %j', async (yaml, expected) => {
    expect(await faults(yaml)).toEqual(expected);
  });

  it('may be that there is no file', () => {
    expect(() => loadConfig(Config, { file: '/no/such.yaml', env: {} })).toThrow(
      /^\/no\/such\.yaml: cannot be read: .*ENOENT/,
    );
  });

  it('is a file that expands without end', async () => {
    const levels = ['a: &a [x, x, x, x, x, x, x, x, x, x]'];
    for (const [from, to] of ['ab', 'bc', 'cd', 'de'].map((pair) => pair.split(''))) {
      levels.push(`${to}: &${to} [${Array(10).fill(`*${from}`).join(', ')}]`);
    }
    expect((await faults(levels.join('\n')))[0]).toMatch(/alias/i);
  });
});

describe('aliases', () => {
  it('are moved to their own key, and agree with it when they are equal', async () => {
    expect(await load('drainMs: 2000\ndrain_timeout: 2\nlistenPort: 9')).toMatchObject({
      drain_timeout: 2,
      listen: { port: 9, host: '127.0.0.1' },
    });
  });
});

it('prints itself without secrets, as YAML that can be read again', async () => {
  const printed = printConfig(await load('auth: { token: hunter2 }\nlabels: { db: "postgres://me:hunter2@h" }'));
  expect(printed).not.toContain('hunter2');
  const again = await load(printed);
  expect(again.auth.token).toBeInstanceOf(Secret);
  expect(printConfig(again)).toBe(printed);
});

it('prints what looks like a variable so that it is none when it is read again', async () => {
  const config = await load('labels: { a: "$${HOME}", b: "$$${X}", c: "${d", e: "$$", f: "${B}" }', {
    env: { B: '${C}' },
  });
  expect(config.labels).toEqual({ a: '${HOME}', b: '$${X}', c: '${d', e: '$$', f: '${C}' });
  expect(await load(printConfig(config))).toEqual(config);
});
