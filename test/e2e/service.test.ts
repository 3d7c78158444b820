import { access, mkdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import {
  TempDir,
  TestControlPlane,
  endOfTask,
  eventually,
  outputOf,
  requires,
  runCli,
  runTask,
} from '@drawbridge/testkit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { makeBundle } from '../../scripts/bundle/make-bundle.ts';
import { UserManager } from './user-manager.ts';

const Status = z.object({ installed: z.boolean(), enabled: z.boolean(), active: z.boolean(), pid: z.int().nullable() });
const Installed = z.object({ path: z.string(), changed: z.boolean() });

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const isPossible = requires('linux', 'root', 'systemd') && UserManager.isPossible();

/** What is installed, as `npm run bundle` makes it. */
let bundle: TempDir;
let binary: string;
beforeAll(async () => {
  bundle = await TempDir.make('drawbridge-bundle-');
  binary = bundle.join('dist/drawbridge.js');
  if (isPossible) await makeBundle(ROOT, bundle.join('dist'));
});
afterAll(() => bundle[Symbol.asyncDispose]());

it.runIf(isPossible)('an agent that systemd runs connects, works, comes back after a crash, and goes', async () => {
  await using controlPlane = await TestControlPlane.start();
  await using dir = await TempDir.make('drawbridge-agent-');
  // A path that systemd would take apart, were it not quoted.
  const data = dir.join('the agent 100%');
  await enrol(controlPlane, data);
  await using systemd = await UserManager.start(binary);
  const status = async () => {
    const { code, stdout } = await systemd.cli('agent', 'service', 'status', '--user', '--json');
    return { code, ...Status.parse(JSON.parse(stdout)) };
  };
  const online = () =>
    eventually(async () => JSON.stringify((await controlPlane.api('GET', '/api/v1/agents/serviced')).body), {
      what: 'the agent to be online',
      until: (body) => body.includes('"online"'),
      timeoutMs: 30_000,
    });
  const install = async () => {
    const { code, stdout, stderr } = await systemd.cli(
      'agent',
      'service',
      'install',
      '--user',
      '--data',
      data,
      '--json',
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    return Installed.parse(JSON.parse(stdout));
  };

  expect(await status()).toMatchObject({ code: 4, installed: false });
  const { path } = await install();
  await online();
  const first = await status();
  expect(first).toMatchObject({ code: 0, installed: true, enabled: true, active: true });

  // A task has the sandbox of its agent: it may not become more than its user, and sees everybody's /tmp.
  const task = await runTask(controlPlane, {
    agent: 'serviced',
    instructions: `grep NoNewPrivs /proc/self/status | tr -d '\\t'; touch '${dir.join('from the task')}'`,
  });
  expect(await endOfTask(controlPlane, task.id)).toMatchObject({ state: 'succeeded' });
  expect(await outputOf(controlPlane, task.id)).toBe('NoNewPrivs:1\n');
  await access(dir.join('from the task'));

  expect(await install()).toMatchObject({ changed: false });
  expect((await status()).pid).toBe(first.pid);

  await systemd.run('kill', '-9', `${first.pid}`);
  const second = await eventually(status, {
    what: 'systemd to start the agent again',
    until: ({ active, pid }) => active && pid !== null && pid !== first.pid,
    timeoutMs: 30_000,
  });
  expect(second.code).toBe(0);
  await online();

  expect(await systemd.cli('agent', 'service', 'uninstall', '--user')).toMatchObject({ code: 0 });
  expect(await status()).toMatchObject({ code: 4, installed: false, active: false });
  await expect(readFile(path)).rejects.toThrow(/ENOENT/);
  await access(`${data}/identity.json`);
});

it.runIf(isPossible)('a control plane works in the sandbox of its unit', async () => {
  await using dir = await TempDir.make('drawbridge-server-');
  await using systemd = await UserManager.start(binary);
  const path = await systemd.unitPath('drawbridge-server.service');
  await writeFile(path, await serverUnitFor(dir));
  expect(await systemd.run('systemctl', '--user', 'start', 'drawbridge-server.service')).toMatchObject({
    code: 0,
    stderr: '',
  });
  const url = await eventually(async () => /^ready (\S+)$/m.exec(await readFile(dir.join('stdout'), 'utf8'))?.[1], {
    what: 'the line that says it is ready',
    timeoutMs: 30_000,
  });
  const check = [process.execPath, `${ROOT}deploy/healthcheck.js`, `${url}/readyz`] as const;
  expect(await systemd.run(...check)).toMatchObject({ code: 0, stderr: '' });

  // What the unit promises, seen from inside: no capability, no way to get one, and system calls that are filtered.
  const { stdout: pid } = await systemd.run(
    'systemctl',
    '--user',
    'show',
    '-P',
    'MainPID',
    'drawbridge-server.service',
  );
  const { stdout: status } = await systemd.run('cat', `/proc/${pid.trim()}/status`);
  expect(status).toMatch(/^CapEff:\t0+$[^]*^CapBnd:\t0+$[^]*^NoNewPrivs:\t1$[^]*^Seccomp:\t2$/m);

  expect(await systemd.run('systemctl', '--user', 'stop', 'drawbridge-server.service')).toMatchObject({ code: 0 });
  const { stdout } = await systemd.run('systemctl', '--user', 'show', '-P', 'Result', 'drawbridge-server.service');
  expect(stdout.trim()).toBe('success');
});

/** What only the manager of a whole machine can do: a user that comes and goes, and masks over parts of /proc. */
const SYSTEM_ONLY =
  /^(DynamicUser|User|StateDirectory|CacheDirectory|PrivateUsers|PrivateTmp|ProtectHome|ProtectKernel(Logs|Tunables))\w*=.*\n/gm;

/** The unit as it is shipped, but for that, and with the paths of this machine. */
async function serverUnitFor(dir: TempDir): Promise<string> {
  const unit = await readFile(`${ROOT}deploy/systemd/drawbridge-server.service`, 'utf8');
  await mkdir(dir.join('data'), { mode: 0o700 });
  const command = [process.execPath, binary, 'server', '--port', '0', '--data', dir.join('data')];
  return unit
    .replace(SYSTEM_ONLY, '')
    .replace(/^ExecStart=.*$/m, `ExecStart=${command.map((word) => `"${word}"`).join(' ')}`)
    .replace(/^Environment=.*$/m, `ReadWritePaths=${dir.path}\nStandardOutput=file:${dir.join('stdout')}`);
}

async function enrol(controlPlane: TestControlPlane, data: string): Promise<void> {
  const { body } = await controlPlane.api('POST', '/api/v1/join-tokens', {});
  const { token } = z.object({ token: z.string() }).parse(body);
  const words = ['agent', 'enroll', controlPlane.url, '--token', token, '--name', 'serviced', '--data', data];
  expect(await runCli(words)).toMatchObject({ code: 0 });
}
