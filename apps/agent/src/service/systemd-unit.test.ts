import { execFile, spawnSync } from 'node:child_process';
import { chmod, copyFile, readFile, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { TempDir, findProgram, requires } from '@drawbridge/testkit';
import { describe, expect, it } from 'vitest';
import { SPEC } from './service-fixture.ts';
import type { ServiceSpec } from './service-spec.ts';
import { quoteCommand, quoteWord } from './systemd-quote.ts';
import { systemdUnit } from './systemd-unit.ts';

const SHIPPED = new URL('../../../../deploy/systemd/drawbridge-agent.service', import.meta.url);

/** What systemd 254 brought; an older one says that it does not know it, and goes on. */
const NEW_KEYS = /Unknown key( name)? '(RestartSteps|RestartMaxDelaySec)'/;

const PROFILES: readonly [name: string, spec: ServiceSpec][] = [
  ['a service user', SPEC],
  ['a service user with sudo', { ...SPEC, allowSudo: true }],
  ['root', { ...SPEC, serviceUser: undefined }],
  ['a user of the machine', { ...SPEC, scope: 'user', serviceUser: undefined, envFile: undefined }],
];

it('is shipped as the installer makes it', async () => {
  expect(await readFile(SHIPPED, 'utf8')).toBe(systemdUnit(SPEC));
});

it.each([
  ['/usr/bin/node', '/usr/bin/node'],
  ['/a b', '"/a b"'],
  ['100%', '"100%%"'],
  ['say "hi"', '"say \\"hi\\""'],
  ['C:\\x', '"C:\\\\x"'],
  [';', '";"'],
  ['', '""'],
])('takes the word %j as %s', (word, quoted) => {
  expect(quoteWord(word)).toBe(quoted);
});

it('lets no variable be replaced in an argument, where systemd would', () => {
  expect(quoteCommand(['/a$b', '$HOME', '${HOME}'])).toBe('"/a$b" "$$HOME" "$${HOME}"');
});

it('refuses a program that systemd would not run', () => {
  expect(() => quoteCommand(['/it"s/node'])).toThrow(expect.objectContaining({ code: 'invalid_request' }));
});

describe('the sandbox', () => {
  const settings = (spec: ServiceSpec) => systemdUnit(spec).replaceAll(/^#.*$/gm, '');

  it.each(PROFILES)('keeps tasks of %s able to do their work', (_name, spec) => {
    expect(settings(spec)).not.toMatch(
      /Protect(System|Home|Clock)|Private|DevicePolicy|RestrictNamespaces|SystemCallFilter|MemoryDeny|UMask|DynamicUser/,
    );
  });

  it('keeps a service user from becoming more', () => {
    expect(settings(SPEC)).toMatch(/^NoNewPrivileges=yes$[^]*^CapabilityBoundingSet=$/m);
  });

  it.each(PROFILES.slice(1, 3))('has nothing that implies NoNewPrivileges for %s', (_name, spec) => {
    // systemd.exec(5): each of these turns it on for a service without CAP_SYS_ADMIN.
    expect(settings(spec)).not.toMatch(/NoNewPrivileges|Lock|Restrict(Realtime|SUID|Addr)|ProtectKernel|SystemCall/);
  });
});

describe.runIf(requires('linux', 'systemd'))('systemd itself', () => {
  it.each(PROFILES)('has nothing against the unit of %s', async (_name, spec) => {
    await using dir = await TempDir.make();
    expect(await verify(dir, { ...spec, node: process.execPath })).toEqual([]);
  });

  it('finds the mistakes it is asked to find', async () => {
    await using dir = await TempDir.make();
    expect(await verify(dir, { ...SPEC, node: '/no/such/node' })).toEqual([expect.stringContaining('/no/such/node')]);
  });

  it('reads the command line as it was meant, whatever stands in the paths', async () => {
    await using dir = await TempDir.make();
    const odd = dir.join(`a b%d"q'\\s$HOME;`);
    const node = dir.join('a b%d$HOME;node');
    await copyFile('/bin/true', node);
    await chmod(node, 0o755);
    const spec = { ...SPEC, node, config: `${odd}/c`, data: `${odd}/d`, envFile: `${odd}/e` };
    expect(await verify(dir, spec)).toEqual([]);
    const told = await analyze(dir, spec, { SYSTEMD_LOG_LEVEL: 'debug' });
    const shown = /Command Line: (.*)/.exec(told)?.[1] ?? '';
    // What systemd shows is what a shell understands; `$$` becomes `$` when the command is run.
    const words = spawnSync('sh', ['-c', `printf '%s\\n' ${shown}`], { encoding: 'utf8' }).stdout.split('\n');
    expect(words[0]).toBe(spec.node);
    expect([words[5], ...words.slice(6, 8)]).toEqual([
      spec.config.replace('$', '$$$$'),
      '--data',
      spec.data.replace('$', '$$$$'),
    ]);
    expect(told).toContain(`NODE_COMPILE_CACHE=${odd}/d/compile-cache`);
    expect(told).toContain(`EnvironmentFile: ${odd}/e`);
  });

  it('rates the exposure of a service user as it is told in deploy/README.md', async () => {
    await using dir = await TempDir.make();
    await writeFile(dir.join('drawbridge-agent.service'), systemdUnit(SPEC));
    const args = ['security', '--offline=true', '--no-pager', dir.join('drawbridge-agent.service')];
    const { stdout } = await promisify(execFile)(systemdAnalyze(), args);
    const rating = Number(/Overall exposure level for drawbridge-agent\.service: ([\d.]+)/.exec(stdout)?.[1]);
    expect(rating).toBeGreaterThan(0);
    expect(rating).toBeLessThan(7);
  });
});

/** What systemd complains about, but for what it is too old to know. */
async function verify(dir: TempDir, spec: ServiceSpec): Promise<string[]> {
  const told = await analyze(dir, spec, {});
  return told.split('\n').filter((line) => line !== '' && !NEW_KEYS.test(line));
}

/** All that systemd-analyze says about a unit, whatever its exit code. */
async function analyze(dir: TempDir, spec: ServiceSpec, env: NodeJS.ProcessEnv): Promise<string> {
  const path = dir.join('drawbridge-agent.service');
  await writeFile(path, systemdUnit(spec));
  // The user of the service need not be known here, and a manual page is none of a unit's business.
  const args = ['verify', '--man=no', ...(spec.scope === 'user' ? ['--user'] : []), path];
  const { stdout, stderr } = spawnSync(systemdAnalyze(), args, {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, XDG_RUNTIME_DIR: dir.path, ...env },
  });
  return stdout + stderr;
}

function systemdAnalyze(): string {
  return findProgram('systemd-analyze') ?? 'systemd-analyze';
}
