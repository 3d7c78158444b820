import { ControlError } from '@drawbridge/protocol';
import { printConfig } from '@drawbridge/runtime';
import { TempDir } from '@drawbridge/testkit';
import { writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadServerConfig, parsePortRange } from './config.ts';

let dir: TempDir;
beforeAll(async () => {
  dir = await TempDir.make();
});
afterAll(() => dir[Symbol.asyncDispose]());

async function load(yaml: string, overrides = {}) {
  const file = dir.join('drawbridge.yaml');
  await writeFile(file, yaml);
  return loadServerConfig({ file, env: {}, overrides });
}

async function faults(yaml: string, overrides = {}): Promise<string> {
  const error: unknown = await load(yaml, overrides).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ControlError)) throw new Error('not a ControlError', { cause: error });
  return error.message.replaceAll(`${dir.path}/`, '');
}

it('needs no file', () => {
  expect(loadServerConfig({ env: {} })).toMatchObject({
    listen: { host: '127.0.0.1', port: 7400, trusted_proxies: [] },
    store: { url: 'sqlite:drawbridge.db' },
    bus: { url: 'memory:' },
    agents: {
      heartbeat_interval: 20,
      command_timeout: 300,
      websocket_timeout: 45,
      max_agents_per_host: 100,
      enable_agent_mode: true,
    },
    tunnels: { listener: 'shared', port_range: '30000-40000', idle_timeout: 3600, grace_timeout: 3600 },
    drain_timeout: 30,
  });
});

it("takes S2's keys (S2-133..137)", async () => {
  const yaml = `
websocket_timeout: 300
heartbeat_interval: 30
max_agents_per_host: 99
command_timeout: 301
enable_agent_mode: false`;
  expect((await load(yaml)).agents).toMatchObject({
    websocket_timeout: 300,
    heartbeat_interval: 30,
    max_agents_per_host: 99,
    command_timeout: 301,
    enable_agent_mode: false,
  });
});

it("takes S3's keys (S3-150..152)", async () => {
  const yaml = 'tunnels: { idle_timeout_seconds: 1, grace_timeout_seconds: 2, heartbeat_interval_seconds: 3 }';
  expect((await load(yaml)).tunnels).toMatchObject({ idle_timeout: 1, grace_timeout: 2, heartbeat_interval: 3 });
});

it('lets the command line win', async () => {
  const config = await load('listen: { port: 1, public_url: "https://a.test" }', { listen: { port: 2 } });
  expect(config.listen).toMatchObject({ port: 2, public_url: 'https://a.test' });
});

it.each(['127.0.0.1', '127.0.0.2', 'localhost', 'LOCALHOST', '::1', '::ffff:127.0.0.1'])(
  'listens on %s without TLS',
  async (host) => {
    expect((await load('', { listen: { host } })).listen.host).toBe(host);
  },
);

it.each(['0.0.0.0', '::', '192.0.2.1', '2001:db8::1', 'control.test', 'localhost.test'])(
  'does not listen on %s without TLS or a proxy',
  async (host) => {
    expect(await faults('', { listen: { host } })).toMatch(
      /^command line: listen\.host: is not loopback: set listen\.tls, or listen\.trusted_proxies/,
    );
  },
);

it.each(['tls: { cert: c.pem, key: k.pem }', 'trusted_proxies: [10.0.0.1]'])(
  'listens anywhere with %s',
  async (yaml) => {
    expect((await load(`listen: { host: 0.0.0.0, ${yaml} }`)).listen.host).toBe('0.0.0.0');
  },
);

it.each([
  ['tunnels: { enable_compression: true }', 'tunnels.enable_compression: compression is not offered'],
  ['tunnels: { port_range: 40000-30000 }', 'tunnels.port_range: expected a range of ports'],
  ['listen: { tls: { cert: c.pem } }', 'listen.tls.key: '],
  ['listen: { tls: { cert: c, key: k, client_auth: require } }', 'listen.tls.ca: client_auth needs it'],
  ['listen: { port: 70000 }', 'listen.port: '],
  ['listen: { public_url: "ftp://a.test" }', 'listen.public_url: expected an http or https URL'],
  ['listen: { allowed_hosts: ["https://a.test"] }', 'listen.allowed_hosts.0: expected the name of a host'],
  ['listen: { allowed_hosts: ["::1", "a.test:443"] }', 'listen.allowed_hosts.1: expected the name of a host'],
  ['store: { url: "mysql://a.test" }', 'store.url: expected sqlite:'],
  ['bus: { url: "redis://a.test" }', 'bus.url: expected memory:'],
  ['agents: { heartbeat_interval: 30, websocket_timeout: 30 }', 'agents.websocket_timeout: must be longer'],
  ['auth: { local: false }', 'auth.local: false leaves no way to sign in'],
  ['limits: { commands_per_agent: 1001 }', 'limits.commands_per_agent: '],
  ['heartbeat_interval: 30\nagents: { heartbeat_interval: 20 }', 'heartbeat_interval: is another name of'],
  ['lisen: {}', 'lisen: unknown key'],
  ['metrics: { listen: { host: 0.0.0.0, port: 9 } }', 'metrics.token: is needed: metrics.listen is not loopback'],
  ['tracing: { url: "ftp://collector" }', 'tracing.url: expected an http or https URL'],
  ['tracing: { url: nonsense }', 'tracing.url: expected an http or https URL'],
  ['tracing: { url: "https://me:hunter2@collector" }', 'tracing.url: holds credentials'],
])('refuses %s', async (yaml, reason) => {
  expect(await faults(yaml)).toContain(`drawbridge.yaml: ${reason}`);
});

it('takes single sign-on instead of local users, and keeps its secret', async () => {
  const yaml = 'auth: { local: false, oidc: { issuer: "https://id.test", client_id: c, client_secret: hunter2 } }';
  const config = await load(yaml);
  expect(config.auth.oidc?.client_secret?.reveal()).toBe('hunter2');
  expect(printConfig(config)).not.toContain('hunter2');
});

it.each([
  ['30000-40000', { first: 30_000, last: 40_000 }],
  ['5-5', { first: 5, last: 5 }],
  ['0-5', undefined],
  ['5-4', undefined],
  ['5-65536', undefined],
  ['5', undefined],
])('reads the range %s', (text, range) => {
  expect(parsePortRange(text)).toEqual(range);
});

it('prints a file that says the same', async () => {
  const printed = printConfig(await load('store: { url: "postgres://me@db/x" }'));
  expect(printConfig(await load(printed))).toBe(printed);
});

it('takes leased ports only where each is TLS, or for this machine alone', async () => {
  const leased = { tunnels: { listener: 'leased' } };
  expect(loadServerConfig({ env: {}, overrides: leased }).tunnels.listener).toBe('leased');
  const behindProxy = { ...leased, listen: { host: '0.0.0.0', trusted_proxies: ['10.0.0.1'] } };
  expect(await faults('', behindProxy)).toContain('tunnels.listener: leased needs listen.tls');
  const tls = { cert: 'a.crt', key: 'a.key' };
  await load('', { ...leased, listen: { host: '0.0.0.0', tls } });
});
