import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { enrolStatement } from '@drawbridge/protocol';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ADMIN, ControlPlaneFixture } from '../control-plane-fixture.ts';
import { ServerIdentity } from '../identity/server-identity.ts';
import { AgentsRepository } from '../store/agents-repository.ts';
import { Enrolment } from './enrolment.ts';
import type { EnrolRequest } from './enrolment.ts';
import { JoinTokens } from './join-tokens.ts';

const AGENTS_PER_HOST_MAX = 2;

let control: ControlPlaneFixture;
let tokens: JoinTokens;
let enrolment: Enrolment;
beforeEach(async () => {
  control = await ControlPlaneFixture.make();
  const identity = await ServerIdentity.load(control.dir.join('identity.json'));
  tokens = new JoinTokens(identity, control.parts.db, control.clock);
  enrolment = new Enrolment(control.parts.db, tokens, control.clock, AGENTS_PER_HOST_MAX);
});
afterEach(() => control[Symbol.asyncDispose]());

async function issue(more: { ttlSeconds?: number; uses?: number; labels?: Record<string, string> } = {}) {
  return tokens.issue({ ttlSeconds: 60, uses: 1, labels: {}, ...more }, ADMIN);
}

/** The request of a machine with a key of its own. */
function request(token: string, more: Partial<EnrolRequest> = {}): EnrolRequest {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const raw = publicKey.export({ format: 'jwk' }).x ?? '';
  const proof = sign(null, Buffer.from(enrolStatement(token.split('.')[0] ?? '', raw)), privateKey).toString(
    'base64url',
  );
  return { token, publicKey: raw, proof, name: 'build-1', labels: {}, machineId: 'machine-1', ...more };
}

async function usesLeft(): Promise<number | undefined> {
  return (await tokens.list(10, undefined))[0]?.uses_left;
}

it('makes an agent of a token and a key, and stores neither secret', async () => {
  const { token } = await issue();
  const wanted = request(token, { labels: { site: 'zurich' } });
  const { agentId, name } = await enrolment.enrol(wanted);
  expect(name).toBe('build-1');
  expect(await new AgentsRepository(control.parts.db).find(agentId)).toMatchObject({
    name: 'build-1',
    public_key: wanted.publicKey,
    auth_token_hash: createHash('sha256').update(Buffer.from(wanted.publicKey, 'base64url')).digest('hex'),
    labels: '{"site":"zurich"}',
    status: 'disconnected',
    epoch: 0,
  });
  const stored = JSON.stringify(await control.parts.db.selectFrom('join_tokens').selectAll().execute());
  expect(stored).not.toContain(token.split('.')[1]);
});

it('lets the labels of the token win over those of the machine', async () => {
  const { token } = await issue({ labels: { team: 'red' } });
  const { agentId } = await enrolment.enrol(request(token, { labels: { team: 'blue', site: 'bern' } }));
  const row = await new AgentsRepository(control.parts.db).find(agentId);
  expect(JSON.parse(row?.labels ?? '')).toEqual({ team: 'red', site: 'bern' });
});

it('counts the uses of a token, also when many come at the same time', async () => {
  const { token } = await issue({ uses: 2 });
  const names = ['one', 'two', 'three', 'four'];
  const ends = await Promise.allSettled(names.map((name) => enrolment.enrol(request(token, { name }))));
  expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
  for (const end of ends) {
    if (end.status === 'rejected') expect(end.reason).toMatchObject({ code: 'join_token_invalid' });
  }
});

it('costs no use to fail: a taken name, a wrong proof', async () => {
  const { token } = await issue({ uses: 3 });
  await enrolment.enrol(request(token));
  await expect(enrolment.enrol(request(token))).rejects.toMatchObject({ code: 'agent_name_taken' });
  const { proof } = request(token);
  await expect(enrolment.enrol(request(token, { name: 'other', proof }))).rejects.toMatchObject({
    code: 'auth_failed',
  });
  expect(await usesLeft()).toBe(2);
});

it('refuses a proof that was made for another token', async () => {
  const [first, second] = [await issue(), await issue()];
  const stolen = { ...request(first.token), token: second.token };
  await expect(enrolment.enrol(stolen)).rejects.toMatchObject({ code: 'auth_failed' });
});

it.each([
  ['of another shape', () => 'dbj_nonsense'],
  ['with another secret', (token: string) => token.replace(/\.[^.]{4}/, '.AAAA')],
  ['empty', () => ''],
])('refuses a token %s', async (_name, change) => {
  const { token } = await issue();
  await expect(enrolment.enrol(request(change(token)))).rejects.toMatchObject({ code: 'join_token_invalid' });
  expect(await usesLeft()).toBe(1);
});

it('refuses a token that has expired or was revoked', async () => {
  const expired = await issue({ ttlSeconds: 10 });
  await control.clock.advance(10_000);
  await expect(enrolment.enrol(request(expired.token))).rejects.toMatchObject({ code: 'join_token_invalid' });
  const revoked = await issue();
  await tokens.revoke(revoked.id);
  await expect(enrolment.enrol(request(revoked.token))).rejects.toMatchObject({ code: 'join_token_invalid' });
  await expect(tokens.revoke(revoked.id)).rejects.toMatchObject({ code: 'join_token_not_found' });
});

describe('agents of one machine', () => {
  const enrol = async (name: string, machineId: string) => {
    const { token } = await issue();
    return enrolment.enrol(request(token, { name, machineId }));
  };

  it('are so many, and the token of one more is not used up', async () => {
    await enrol('build-1', 'machine-1');
    await enrol('build-2', 'machine-1');
    await expect(enrol('build-3', 'machine-1')).rejects.toMatchObject({
      code: 'host_limit',
      message: 'this machine has 2 agents already: revoke some, or raise agents.max_agents_per_host',
    });
    expect(await usesLeft()).toBe(1);
  });

  it('are counted for each machine by itself', async () => {
    await enrol('build-1', 'machine-1');
    await enrol('build-2', 'machine-1');
    await expect(enrol('build-3', 'machine-2')).resolves.toMatchObject({ name: 'build-3' });
  });

  it('make room when one is revoked', async () => {
    const { agentId } = await enrol('build-1', 'machine-1');
    await enrol('build-2', 'machine-1');
    await new AgentsRepository(control.parts.db).revoke(agentId, new Date(control.clock.now()).toISOString());
    await expect(enrol('build-3', 'machine-1')).resolves.toMatchObject({ name: 'build-3' });
  });

  it('count where they run now, not where they enrolled', async () => {
    const agents = new AgentsRepository(control.parts.db);
    const { agentId } = await enrol('build-1', 'machine-1');
    const facts = { version: '1', os: null, arch: null, capabilities: '[]' };
    await agents.connect(agentId, { ...facts, machine_id: 'machine-2' }, new Date(control.clock.now()).toISOString());
    expect(await agents.countOnMachine('machine-1')).toBe(0);
    await agents.connect(agentId, facts, new Date(control.clock.now()).toISOString());
    expect(await agents.countOnMachine('machine-2'), 'it did not say').toBe(1);
  });
});
