import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { systemClock } from '@drawbridge/link';
import { SessionInfo } from '@drawbridge/protocol';
import { memoryLog } from '@drawbridge/runtime/testing';
import { TempDir, eventually, isAlive, killAll, processesUsing } from '@drawbridge/testkit';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { AgentSessions } from './agent-sessions.ts';
import { HostClient } from './host-client.ts';
import { outputOf } from './session-host-fixture.ts';

const never = new AbortController().signal;
const SETTINGS = { shell: '/bin/sh', ringBytes: 65_536, ttlMs: 60_000, runningMax: 4, runningOfOneMax: 4 };

let dir: TempDir;
beforeEach(async () => {
  dir = await TempDir.make('drawbridge-host-');
});
afterEach(async () => {
  await killAll(processesUsing(dir.path));
  await dir[Symbol.asyncDispose]();
});

function agent(dataDir = dir.path) {
  const env = { PATH: process.env['PATH'] ?? '', HOME: '/' };
  const host = new HostClient({ dataDir, env, clock: systemClock, log: memoryLog().log });
  return { host, sessions: new AgentSessions(host, SETTINGS) };
}

/** The processes that keep sessions here. */
function hostsHere(): number[] {
  return processesUsing(dir.path).filter((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('host-main'));
}

const cat = () =>
  ({
    session_id: randomUUID(),
    created_by: 'user:1',
    created_by_name: 'ann',
    mode: 'pipe',
    command: ['cat'],
    env: {},
    cols: 80,
    rows: 24,
  }) satisfies Parameters<AgentSessions['create']>[0];

it('starts no host to say that there are no sessions', async () => {
  const { host, sessions } = agent();
  expect(await sessions.list(never)).toEqual({ items: [] });
  await expect(sessions.get(randomUUID(), never)).rejects.toMatchObject({ code: 'session_not_found' });
  await expect(sessions.end(randomUUID(), never)).rejects.toMatchObject({ code: 'session_not_found' });
  await expect(host.attach({ session_id: randomUUID() }, never)).rejects.toMatchObject({ code: 'session_not_found' });
  expect(hostsHere()).toEqual([]);
});

it('starts one host for all that ask at once, and the next agent finds its sessions there', async () => {
  const first = agent();
  const made = await Promise.all([cat(), cat(), cat()].map((wanted) => first.sessions.create(wanted, never)));
  const hosts = hostsHere();
  expect(hosts).toHaveLength(1);
  await first.host[Symbol.asyncDispose]();

  const { host, sessions } = agent();
  const { items } = await sessions.list(never);
  expect(items.map(({ session_id: id }) => id).toSorted()).toEqual(made.map(({ session_id: id }) => id).toSorted());
  const [one] = made;
  const channel = await host.attach({ session_id: one?.session_id, actor: 'ann' }, never);
  const heard = outputOf(channel);
  await channel.send(Buffer.from('still here\n'));
  channel.end();
  expect((await heard).text).toBe('still here\n');
  expect(hostsHere()).toEqual(hosts);
  await host[Symbol.asyncDispose]();
});

it('starts another host when the one there was has died, and what it had is gone', async () => {
  const { host, sessions } = agent();
  const lost = await sessions.create(cat(), never);
  const channel = await host.attach({ session_id: lost.session_id }, never);
  await killAll(hostsHere());
  expect((await channel.ended).code).toBe(8);
  const next = await sessions.create(cat(), never);
  expect((await sessions.list(never)).items).toEqual([next]);
  await expect(sessions.get(lost.session_id, never)).rejects.toMatchObject({ code: 'session_not_found' });
  await eventually(() => !isAlive(lost.pid), { what: 'the end of what nobody holds any more' });
  await host[Symbol.asyncDispose]();
});

it('knows how many run, as of the last time it looked', async () => {
  const { host, sessions } = agent();
  await Promise.all([cat(), cat()].map((wanted) => sessions.create(wanted, never)));
  await eventually(() => sessions.running === 2, { what: 'both' });
  await host[Symbol.asyncDispose]();
});

it('says why no host can be started', async () => {
  const long = dir.join('x'.repeat(100));
  const created = agent(long).sessions.create(cat(), never);
  await expect(created).rejects.toMatchObject({ code: 'unsupported', message: expect.stringContaining('103 bytes') });
});

it('gives the host only what sessions may know, and a log of its own', async () => {
  const { host, sessions } = agent();
  SessionInfo.parse(await sessions.create(cat(), never));
  const [pid = 0] = hostsHere();
  const names = readFileSync(`/proc/${pid}/environ`, 'utf8')
    .split('\0')
    .map((line) => line.replace(/=.*/, ''));
  expect(names.toSorted()).toEqual(['', 'HOME', 'PATH']);
  expect(readFileSync(dir.join('sessions', 'host.log'), 'utf8')).toContain('session host ready');
  await host[Symbol.asyncDispose]();
});
