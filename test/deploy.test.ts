import { execFile, spawnSync } from 'node:child_process';
import { cp, mkdir, readFile, readdir, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { loadConfig } from '@drawbridge/runtime';
import { TempDir, findProgram, requires, runCli } from '@drawbridge/testkit';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { loadServerConfig } from '../apps/control-plane/src/config.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const DEPLOY = join(ROOT, 'deploy');
const COMPOSE = join(DEPLOY, 'compose/compose.yaml');
const read = (path: string) => readFile(join(DEPLOY, path), 'utf8');

const Service = z.looseObject({
  image: z.string(),
  environment: z.record(z.string(), z.string()),
  healthcheck: z.looseObject({ test: z.array(z.string()) }),
  ports: z.array(z.string()).default([]),
  volumes: z.array(z.string()).default([]),
  secrets: z.array(z.string()).default([]),
  networks: z.array(z.string()),
});
const Compose = z.looseObject({
  services: z.strictObject({ postgres: Service, server: Service }),
  volumes: z.record(z.string(), z.object()),
  networks: z.record(z.string(), z.object({ internal: z.boolean().optional() })),
  secrets: z.record(z.string(), z.object({ file: z.string() })),
});

describe('compose.yaml', () => {
  const { services, volumes, networks, secrets } = loadConfig(Compose, { file: COMPOSE, env: {} });
  const variables = services.server.environment;

  it.each(Object.keys(variables))('sets %s, which the control plane knows', (name) => {
    const { [name]: _left, ...others } = variables;
    // A certificate without its key is no configuration: both are looked at together.
    const partner =
      /_TLS_(CERT|KEY)$/.exec(name)?.[1] === 'CERT' ? 'DRAWBRIDGE_LISTEN_TLS_KEY' : 'DRAWBRIDGE_LISTEN_TLS_CERT';
    const without = name.includes('_TLS_')
      ? { ...others, [partner]: undefined, DRAWBRIDGE_LISTEN_HOST: undefined }
      : others;
    const env = { ...variables, DRAWBRIDGE_LISTEN_PUBLIC_URL: 'https://control.example.com' };
    const url =
      'DRAWBRIDGE_LISTEN_PUBLIC_URL' in without ? { DRAWBRIDGE_LISTEN_PUBLIC_URL: 'https://control.example.com' } : {};
    expect(loadServerConfig({ env: { ...without, ...url } })).not.toEqual(loadServerConfig({ env }));
  });

  it('opens the port of the server, and no other', () => {
    expect(services.server.ports).toEqual(['7400:7400']);
    expect(services.postgres.ports).toEqual([]);
    expect(services.postgres.networks.every((name) => networks[name]?.internal === true)).toBe(true);
  });

  it('has no secret in it: a password comes from .env, a key from a file', () => {
    const all = Object.entries(services).flatMap(([, { environment }]) => Object.entries(environment));
    const passwords = all.filter(([name, value]) => /PASSWORD/.test(name) || /:\/\/[^/]*:[^/]*@/.test(value));
    expect(passwords.length).toBeGreaterThan(1);
    expect(passwords.filter(([, value]) => !value.includes('${POSTGRES_PASSWORD:?'))).toEqual([]);
    expect(services.server.secrets.filter((name) => secrets[name] === undefined)).toEqual([]);
  });

  it('asks the server whether it is ready, and keeps what both have to keep', () => {
    expect(services.server.healthcheck.test.at(-1)).toMatch(/\/readyz$/);
    const kept = Object.values(services).flatMap((service) => service.volumes.map((volume) => volume.split(':')[0]));
    expect(kept).toEqual(Object.keys(volumes));
  });

  it('has an example of every variable it wants', async () => {
    const wanted = [...(await read('compose/compose.yaml')).matchAll(/\$\{(\w+)/g)].map(([, name]) => name);
    const given = [...(await read('compose/.env.example')).matchAll(/^(\w+)=/gm)].map(([, name]) => name);
    expect(new Set(given)).toEqual(new Set(wanted));
  });
});

describe('Dockerfile', async () => {
  const instructions = (await read('Dockerfile'))
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => [line.split(' ', 1)[0] ?? '', line.slice(line.indexOf(' ') + 1)] as const);
  const all = (name: string) => instructions.filter(([instruction]) => instruction === name).map(([, rest]) => rest);
  const copied = all('COPY').flatMap((rest) => (rest.startsWith('--') ? [] : rest.split(' ').slice(0, -1)));

  it('bundles in one stage, runs only that in another, on the Node we need', () => {
    expect(all('FROM')).toEqual(['node:24-bookworm-slim AS bundle', 'node:24-bookworm-slim']);
    const last = instructions.slice(instructions.findLastIndex(([name]) => name === 'FROM'));
    const copies = last.filter(([name]) => name === 'COPY').map(([, rest]) => rest.split(' ').slice(0, -1).join(' '));
    expect(copies).toEqual(['--from=bundle /out', 'deploy/healthcheck.js']);
  });

  it('runs as nobody in particular, and gets its signals itself', () => {
    expect(all('USER')).toEqual(['node']);
    expect(instructions.findLastIndex(([name]) => name === 'RUN')).toBeLessThan(
      instructions.findIndex(([name]) => name === 'USER'),
    );
    // Without a shell between them.
    expect(JSON.parse(all('ENTRYPOINT')[0] ?? '')).toContain('/app/drawbridge.js');
  });

  it('downloads nothing by itself, and holds no secret', () => {
    expect(all('ADD')).toEqual([]);
    expect(instructions.filter(([, rest]) => /(PASSWORD|TOKEN|SECRET)\w*=/.test(rest))).toEqual([]);
  });

  it('copies only what is sent to the builder', async () => {
    const sent = (await read('Dockerfile.dockerignore')).split('\n').filter((line) => line.startsWith('!'));
    expect(copied.filter((path) => !sent.includes(`!${path}`))).toEqual([]);
  });

  it('copies all that the bundle is made of, and the bundle is all that runs', { timeout: 60_000 }, async () => {
    await using dir = await TempDir.make();
    for (const path of copied) {
      await mkdir(join(dir.path, path, '..'), { recursive: true });
      await cp(join(ROOT, path), dir.join(path), { recursive: true, filter: (from) => !from.includes('node_modules') });
    }
    await installInto(dir);
    const { stderr } = spawnSync(process.execPath, [dir.join('scripts/bundle.ts'), dir.join('out')], {
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    const result = await runCli(['server', '--check-config'], { binary: dir.join('out/drawbridge.js') });
    expect(result).toMatchObject({ code: 0, stderr: '' });
  });
});

describe('healthcheck.js', () => {
  it.each([
    [200, 0],
    [503, 1],
  ])('says of an answer %i: %i', async (status, code) => {
    await using server = createServer((_request, response) => response.writeHead(status).end());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    expect(await check(`http://127.0.0.1:${port}/readyz`)).toBe(code);
  });

  it.each([
    ['http://127.0.0.1:1/readyz', 1],
    ['https://example.com/readyz', 2],
  ])('says of %s: %i', async (url, code) => {
    expect(await check(url)).toBe(code);
  });
});

describe.runIf(requires('linux', 'systemd'))('drawbridge-server.service', () => {
  const analyze = findProgram('systemd-analyze') ?? 'systemd-analyze';

  it('is a unit that systemd takes', async () => {
    await using dir = await TempDir.make();
    const path = dir.join('drawbridge-server.service');
    // The Node of this machine: that there is a program at the path is checked as well.
    await writeFile(path, (await read('systemd/drawbridge-server.service')).replace('/usr/bin/node', process.execPath));
    const { stderr } = spawnSync(analyze, ['verify', '--man=no', path], { encoding: 'utf8' });
    const lines = stderr.split('\n').filter((line) => !/'(RestartSteps|RestartMaxDelaySec)'/.test(line));
    expect(lines).toEqual(['']);
  });

  it('leaves less exposed than most services', async () => {
    const path = join(DEPLOY, 'systemd/drawbridge-server.service');
    const { stdout } = await promisify(execFile)(analyze, ['security', '--offline=true', '--no-pager', path]);
    expect(Number(/Overall exposure level .*: ([\d.]+)/.exec(stdout)?.[1])).toBeLessThan(2);
  });
});

/** What `npm install` would do: packages of others, and links to our own, which are the copied ones. */
async function installInto(dir: TempDir): Promise<void> {
  await mkdir(dir.join('node_modules/@drawbridge'), { recursive: true });
  const others = (await readdir(join(ROOT, 'node_modules'))).filter((name) => name !== '@drawbridge');
  for (const name of others) await symlink(join(ROOT, 'node_modules', name), dir.join(`node_modules/${name}`));
  for (const name of await readdir(dir.join('packages'))) {
    await symlink(dir.join(`packages/${name}`), dir.join(`node_modules/@drawbridge/${name}`));
  }
}

/** The exit code of a health check. */
function check(url: string): Promise<number> {
  return new Promise((resolve) => {
    execFile(process.execPath, [join(DEPLOY, 'healthcheck.js'), url], (error) => resolve(Number(error?.code ?? 0)));
  });
}
