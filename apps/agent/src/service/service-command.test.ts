import { mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { TempDir } from '@drawbridge/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Installation, findInstallation } from './installation.ts';
import { serviceCommand } from './service-command.ts';
import { FakeServiceHost } from './service-fixture.ts';

let dir: TempDir;
let host: FakeServiceHost;
let installation: Installation;
beforeEach(async () => {
  installation = { program: '/opt/drawbridge/dist/drawbridge.js', bundling: undefined };
  dir = await TempDir.make();
  host = new FakeServiceHost(dir.path);
});
afterEach(() => dir[Symbol.asyncDispose]());

/** `drawbridge agent service …`, with its data here unless the words say otherwise. */
const service = (...words: string[]) =>
  serviceCommand(words, host, { DRAWBRIDGE_DATA: dir.join('data') }, () => Promise.resolve(installation));
const unitPath = () => dir.join('etc/systemd/system/drawbridge-agent.service');
const unit = () => readFile(unitPath(), 'utf8');
const refused = (code: string, message: RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });

const Report = z.strictObject({
  action: z.string(),
  unit: z.string(),
  path: z.string(),
  dry_run: z.boolean(),
  changed: z.boolean(),
  steps: z.array(z.looseObject({ is: z.enum(['run', 'write', 'remove']) })),
  notes: z.array(z.string()),
});
const Status = z.strictObject({
  unit: z.string(),
  path: z.string(),
  installed: z.boolean(),
  enabled: z.boolean(),
  active: z.boolean(),
  state: z.string(),
  pid: z.int().nullable(),
});

describe('install', () => {
  it('writes the unit, enables it and starts it', async () => {
    expect(await service('install')).toMatchObject({ code: 0 });
    expect(await unit()).toContain(`--data ${dir.join('data')}\n`);
    expect((await stat(unitPath())).mode & 0o777).toBe(0o644);
    expect(host.commands).toEqual([
      'systemctl daemon-reload',
      'systemctl enable drawbridge-agent.service',
      'systemctl restart drawbridge-agent.service',
    ]);
  });

  it('starts again nothing that is as it should be', async () => {
    await service('install');
    host.commands.length = 0;
    const { text } = await service('install', '--json');
    expect(Report.parse(JSON.parse(text))).toMatchObject({ changed: false, dry_run: false });
    expect(host.commands).toEqual([
      'systemctl enable drawbridge-agent.service',
      'systemctl start drawbridge-agent.service',
    ]);
  });

  it('bundles the sources when they have changed, and starts that', async () => {
    await service('install');
    host.commands.length = 0;
    installation = { ...installation, bundling: ['/usr/bin/node', '/opt/drawbridge/scripts/bundle.ts'] };
    await service('install');
    expect(host.commands).toEqual([
      'node /opt/drawbridge/scripts/bundle.ts',
      'systemctl daemon-reload',
      'systemctl enable drawbridge-agent.service',
      'systemctl restart drawbridge-agent.service',
    ]);
  });

  it('changes nothing when bundling fails', async () => {
    installation = { ...installation, bundling: ['/usr/bin/node', 'bundle.ts'] };
    host.failing = 'node bundle.ts';
    await expect(service('install')).rejects.toThrow(
      refused('process_failed', /bundle\.ts: ended with 1: no such luck/),
    );
    expect(await readdir(dir.path)).toEqual([]);
  });

  it('runs the bundle of its own checkout', async () => {
    const { program } = await findInstallation();
    expect(program).toBe(resolve(import.meta.dirname, '../../../../dist/drawbridge.js'));
  });

  it('replaces what has changed, and starts that', async () => {
    await service('install');
    host.commands.length = 0;
    await service('install', '--data', '/elsewhere');
    expect(await unit()).toContain('--data /elsewhere\n');
    expect(host.commands).toContain('systemctl restart drawbridge-agent.service');
  });

  it('gives the agent time to drain before it is killed', async () => {
    await writeFile(dir.join('agent.yaml'), 'drain_timeout: 100.5\ntasks: { kill_grace: 7 }');
    await service('install', '--config', dir.join('agent.yaml'));
    expect(await unit()).toContain('TimeoutStopSec=128\n');
  });

  it('only shows what it would do, with --dry-run', async () => {
    host = new FakeServiceHost(dir.path, { uid: 1000 });
    const words = ['install', '--dry-run', '--system', '--service-user', 'nobody-here', '--data', '/var/lib/x'];
    const { text, code } = await service(...words);
    expect(code).toBe(0);
    expect(text).toContain(`# ${unitPath()}\n# Made by`);
    expect(text).toMatch(/^User=nobody-here$/m);
    expect(text).toMatch(/^systemctl restart drawbridge-agent\.service$/m);
    expect(host.commands).toEqual([]);
    expect(await readdir(dir.path)).toEqual([]);
  });

  it('is for the user who asks, unless that is root', async () => {
    host = new FakeServiceHost(dir.path, { uid: 1000 });
    const { text } = await service('install');
    expect(await readdir(dir.join('home/.config/systemd/user'))).toEqual(['drawbridge-agent.service']);
    expect(host.commands[0]).toBe('systemctl --user daemon-reload');
    expect(text).toContain('loginctl enable-linger');
  });

  it('says when the agent has no identity yet, and how it gets one', async () => {
    expect((await service('install')).text).toContain(
      `drawbridge agent enroll URL --token TOKEN --data ${dir.join('data')}`,
    );
    await mkdir(dir.join('data'));
    await writeFile(dir.join('data/identity.json'), '{}');
    expect((await service('install')).text).not.toContain('enroll');
  });

  it.each([
    [['--system'], 'forbidden', /needs root/, 1000],
    [['--config', '/no/such.yaml'], 'invalid_request', /^\/no\/such\.yaml: cannot be read/, 0],
    [['--env-file', '/no/such.env'], 'invalid_request', /^--env-file \/no\/such\.env: cannot be read/, 0],
    [['--service-user', 'a\nb', '--data', '/d'], 'invalid_request', /not the name of a user/, 0],
    [['--service-user', 'drawbridge-agent'], 'invalid_request', /needs --data/, 0],
    [['--service-user', 'drawbridge-agent', '--data', '/d', '--user'], 'invalid_request', /runs as that user/, 0],
    [['--service-user', 'missing', '--data', '/d'], 'not_found', /no user missing: make one with useradd/, 0],
    [['--data', '/a\nExecStartPre=/bin/evil'], 'invalid_request', /control characters/, 0],
  ])('refuses %j, and changes nothing', async (words, code, message, uid) => {
    host = new FakeServiceHost(dir.path, { uid });
    await expect(service('install', ...words)).rejects.toThrow(refused(code, message));
    expect(await readdir(dir.path)).toEqual([]);
  });

  it('reads the configuration as the service will: this shell has no say, its file of variables has', async () => {
    await writeFile(dir.join('agent.yaml'), 'agent: { name: "${HOME}" }');
    const words = ['install', '--config', dir.join('agent.yaml')];
    await expect(service(...words)).rejects.toThrow(refused('invalid_request', /variable HOME is not set/));
    await writeFile(dir.join('agent.env'), 'HOME=here\n');
    expect(await service(...words, '--env-file', dir.join('agent.env'))).toMatchObject({ code: 0 });
    expect(await unit()).toContain(`EnvironmentFile=${dir.join('agent.env')}\n`);
  });

  it('makes the data directory for the service user, who alone can enter', async () => {
    await service('install', '--service-user', 'drawbridge-agent', '--data', dir.join('new'));
    expect(host.commands).toContain(`install -d -m 0700 -o drawbridge-agent ${dir.join('new')}`);
  });

  it('refuses a data directory that belongs to somebody else', async () => {
    host.users.set('drawbridge-agent', 54_321);
    const words = ['install', '--service-user', 'drawbridge-agent', '--data', dir.path];
    await expect(service(...words)).rejects.toThrow(refused('conflict', /chown -R drawbridge-agent/));
  });

  it("leaves somebody else's unit alone", async () => {
    await mkdir(dirname(unitPath()), { recursive: true });
    await writeFile(unitPath(), '[Service]\nExecStart=/bin/other\n');
    await expect(service('install')).rejects.toThrow(refused('conflict', /not made by/));
    await expect(service('uninstall')).rejects.toThrow(refused('conflict', /not made by/));
    expect(await unit()).toContain('/bin/other');
    expect(host.commands).toEqual([]);
  });

  it('names the command that failed, and what it said', async () => {
    host.failing = 'systemctl enable';
    const message = /^systemctl enable drawbridge-agent\.service: ended with 1: no such luck$/;
    await expect(service('install')).rejects.toThrow(refused('process_failed', message));
  });

  it('is not offered where we know no service manager', async () => {
    host = new FakeServiceHost(dir.path, { platform: 'win32' });
    await expect(service('install')).rejects.toThrow(refused('unsupported', /win32/));
  });
});

describe('uninstall', () => {
  it('stops, disables and removes the service, and leaves its data', async () => {
    await mkdir(dir.join('data'));
    await writeFile(dir.join('data/identity.json'), '{}');
    await service('install');
    host.commands.length = 0;
    const { text } = await service('uninstall', '--json');
    expect(Report.parse(JSON.parse(text))).toMatchObject({ action: 'uninstall', changed: true });
    expect(host.commands).toEqual([
      'systemctl disable --now drawbridge-agent.service',
      'systemctl daemon-reload',
      'systemctl reset-failed drawbridge-agent.service',
    ]);
    expect(await readdir(dirname(unitPath()))).toEqual([]);
    expect(await readdir(dir.join('data'))).toEqual(['identity.json']);
  });

  it('is done when there is nothing to do', async () => {
    expect(await service('uninstall')).toEqual({ code: 0, text: 'note: there is no such service\n' });
    expect(host.commands).toEqual([]);
  });

  it('keeps the unit of a service that would not stop', async () => {
    await service('install');
    host.failing = 'systemctl disable';
    await expect(service('uninstall')).rejects.toThrow(refused('process_failed', /disable --now/));
    expect(await unit()).toContain('ExecStart=');
  });
});

describe('status', () => {
  it.each([
    ['none', 4, { installed: false, enabled: false, active: false, state: 'inactive (dead)', pid: null }],
    ['runs', 0, { installed: true, enabled: true, active: true, state: 'active (running)', pid: 42 }],
    ['stopped', 1, { installed: true, enabled: true, active: false, state: 'inactive (dead)', pid: null }],
  ])('says what the manager says: %s', async (situation, code, facts) => {
    if (situation !== 'none') await service('install');
    if (situation === 'stopped') host.isActive = false;
    const answer = await service('status', '--json');
    expect(answer.code).toBe(code);
    expect(Status.parse(JSON.parse(answer.text))).toMatchObject(facts);
  });

  it('passes on why the manager does not answer', async () => {
    host.failing = 'systemctl show';
    expect(await service('status')).toMatchObject({ code: 4, text: expect.stringMatching(/^state +no such luck$/m) });
  });
});

describe('on macOS', () => {
  beforeEach(() => {
    host = new FakeServiceHost(dir.path, { platform: 'darwin', uid: 501 });
  });

  it('loads a LaunchAgent, and unloads it', async () => {
    await service('install');
    expect(await service('status')).toMatchObject({ code: 0 });
    await service('uninstall');
    const target = 'gui/501/drawbridge-agent';
    const path = dir.join('home/Library/LaunchAgents/drawbridge-agent.plist');
    expect(host.commands).toEqual([
      `launchctl bootout ${target}`,
      `launchctl enable ${target}`,
      `launchctl bootstrap gui/501 ${path}`,
      `launchctl print ${target}`,
      `launchctl bootout ${target}`,
    ]);
    expect(await readdir(dirname(path))).toEqual([]);
  });

  it('refuses what launchd cannot do', async () => {
    await writeFile(dir.join('e'), '');
    await expect(service('install', '--env-file', dir.join('e'))).rejects.toThrow(refused('unsupported', /--env-file/));
  });
});

it.each([[['--help']], [['install', '-h']]])('has help with examples: %j', async (words) => {
  const { text, code } = await service(...words);
  expect(code).toBe(0);
  expect(text).toMatch(/Examples:\n {2}sudo drawbridge agent service install/);
});

it.each([
  [[]],
  [['start']],
  [['install', 'more']],
  [['install', '--system', '--user']],
  [['uninstall', '--data', '/d']],
  [['status', '--dry-run']],
  [['install', '--nonsense']],
])('refuses %j', async (words) => {
  await expect(service(...words)).rejects.toThrow(refused('invalid_request', /./));
});
