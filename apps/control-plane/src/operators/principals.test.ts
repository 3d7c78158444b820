import { afterEach, beforeEach, expect, it } from 'vitest';
import { ADMIN } from '../control-plane-fixture.ts';
import { can } from './authorise.ts';
import { IDLE_MS, PeopleFixture } from './people-fixture.ts';
import { SESSION_MS } from './sessions.ts';

const PROD = { kind: 'agent', agentId: 'a1', labels: { env: 'prod' } } as const;
const DEV = { kind: 'agent', agentId: 'a2', labels: { env: 'dev' } } as const;

let people: PeopleFixture;
beforeEach(async () => {
  people = await PeopleFixture.make();
});
afterEach(() => people[Symbol.asyncDispose]());

it('knows who comes in with a session, and what their role gives', async () => {
  const { actor, user } = await people.person('ann', 'viewer', 'env=dev');
  expect(actor).toMatchObject({ kind: 'user', id: user.id, name: 'ann' });
  expect(can(actor, 'task.read', DEV)).toBe(true);
  expect(can(actor, 'task.read', PROD)).toBe(false);
  expect(can(actor, 'task.run', DEV)).toBe(false);
});

it.each(['', 'dbs_', `dbs_${'a'.repeat(43)}`, `dbt_${'a'.repeat(600)}`, "dbt_' OR 1=1 --", 'Bearer x', 's:abc'])(
  'knows nobody who comes with %j',
  async (secret) => {
    await people.person('ann', 'admin');
    expect(await people.principals.bySecret(secret)).toBeUndefined();
  },
);

it('gives a token what its owner may, within its verbs and its selector', async () => {
  const { actor } = await people.person('ann', 'operator');
  const issued = await people.tokens.issue(
    { name: 'ci', verbs: ['task.run', 'task.read', 'admin.users'], selector: 'env=dev', expiresInSeconds: 600 },
    actor,
  );
  const token = await people.actor(issued.token);
  expect(token).toMatchObject({ kind: 'token', name: 'ann/ci', userId: actor.id, isNarrowed: true });
  expect(can(token, 'task.run', DEV)).toBe(true);
  expect(can(token, 'task.run', PROD)).toBe(false);
  expect(can(token, 'file.read', DEV)).toBe(false);
  // Named in its scope, but not its owner's to have.
  expect(can(token, 'admin.users', { kind: 'control-plane' })).toBe(false);
});

it('takes from a token what its owner loses', async () => {
  const { actor, user } = await people.person('ann', 'operator');
  const wanted = { name: 'ci', verbs: null, selector: '', expiresInSeconds: 600 };
  const { token } = await people.tokens.issue(wanted, actor);
  expect(can(await people.actor(token), 'task.run', DEV)).toBe(true);
  await people.users.update(user.id, { roles: [{ role: 'viewer', selector: '' }] }, ADMIN);
  expect(can(await people.actor(token), 'task.run', DEV)).toBe(false);
  await people.users.update(user.id, { disabled: true }, ADMIN);
  expect(await people.principals.bySecret(token)).toBeUndefined();
});

it('follows a custom role as it changes', async () => {
  await people.roles.create({ name: 'runner', description: '', verbs: ['task.run'] }, ADMIN);
  const { session } = await people.person('ann', 'runner');
  expect(can(await people.actor(session), 'task.run', DEV)).toBe(true);
  await people.roles.update('runner', { verbs: ['task.read'] }, ADMIN);
  expect(can(await people.actor(session), 'task.run', DEV)).toBe(false);
  await people.roles.delete('runner', ADMIN);
  expect(can(await people.actor(session), 'task.read', DEV)).toBe(false);
});

it('believes an answer for a second at most, whoever changed the store', async () => {
  const { session, user } = await people.person('ann', 'operator');
  await people.actor(session);
  // Another node: no word of it comes over this node's bus.
  await people.control.parts.db.deleteFrom('role_bindings').where('user_id', '=', user.id).execute();
  expect(can(await people.actor(session), 'task.run', DEV)).toBe(true);
  await people.control.clock.advance(1_000);
  expect(can(await people.actor(session), 'task.run', DEV)).toBe(false);
});

it('lets a session lapse when nobody uses it, and after a week however much it is used', async () => {
  const { session } = await people.person('ann', 'viewer');
  await people.control.clock.advance(IDLE_MS - 1);
  expect(await people.principals.bySecret(session)).toBeDefined();
  await people.control.clock.advance(IDLE_MS - 1);
  expect(await people.principals.bySecret(session)).toBeDefined();
  await people.control.clock.advance(IDLE_MS + 60_000);
  expect(await people.principals.bySecret(session)).toBeUndefined();

  const { session: busy } = await people.person('bob', 'viewer');
  for (let spentMs = 0; spentMs + IDLE_MS / 2 < SESSION_MS; spentMs += IDLE_MS / 2) {
    expect(await people.principals.bySecret(busy)).toBeDefined();
    await people.control.clock.advance(IDLE_MS / 2);
  }
  await people.control.clock.advance(IDLE_MS / 2);
  expect(await people.principals.bySecret(busy)).toBeUndefined();
});

it('knows a token no longer than it lives, and shows when it was last used', async () => {
  const { actor } = await people.person('ann', 'viewer');
  const wanted = { name: 'ci', verbs: null, selector: '', expiresInSeconds: 100 };
  const { token, id } = await people.tokens.issue(wanted, actor);
  expect((await people.tokens.find(id)).last_used_at).toBeNull();
  await people.actor(token);
  expect((await people.tokens.find(id)).last_used_at).toBe(new Date(people.control.clock.now()).toISOString());
  await people.control.clock.advance(100_000);
  expect(await people.principals.bySecret(token)).toBeUndefined();
});

it('refuses a mistyped token without asking the store', async () => {
  const { actor } = await people.person('ann', 'viewer');
  const { token } = await people.tokens.issue({ name: 'ci', verbs: null, selector: '', expiresInSeconds: 100 }, actor);
  await people.control.parts.store.close();
  expect(await people.principals.bySecret(`${token.slice(0, -1)}${token.endsWith('0') ? '1' : '0'}`)).toBeUndefined();
  await expect(people.principals.bySecret(token)).rejects.toMatchObject({ code: 'store_unavailable' });
});

it('finds again who asked for something, with the rights of now', async () => {
  const { actor, user } = await people.person('ann', 'operator');
  expect(await people.principals.byText(`user:${actor.id}`)).toMatchObject({ name: 'ann' });
  expect(await people.principals.byText('user:nobody')).toBeUndefined();
  expect(await people.principals.byText('session:of-before')).toBeUndefined();
  expect(await people.principals.byText('system:system')).toMatchObject({ kind: 'system' });
  await people.users.delete(user.id, ADMIN);
  expect(await people.principals.byText(`user:${actor.id}`)).toBeUndefined();
});

it('refreshes who came in with a session only while that session lasts', async () => {
  const { session, user } = await people.person('ann', 'operator');
  const by = { label: 'elsewhere', method: 'password', address: null } as const;
  const { token: elsewhere } = await people.sessions.open(user.id, by);
  const [actor, other] = [await people.actor(session), await people.actor(elsewhere)];
  expect(await people.principals.refresh(actor)).toEqual(actor);
  await people.users.update(user.id, { roles: [{ role: 'viewer', selector: '' }] }, ADMIN);
  const now = await people.principals.refresh(actor);
  expect([now && can(now, 'task.run', DEV), now && can(now, 'task.read', DEV)]).toEqual([false, true]);
  await people.sessions.end(session);
  expect(await people.principals.refresh(actor)).toBeUndefined();
  expect(await people.principals.refresh(other)).toMatchObject({ id: user.id });
  await people.control.clock.advance(IDLE_MS + 60_000);
  expect(await people.principals.refresh(other)).toBeUndefined();
});

it('refreshes who came in with a token until it is revoked or lapses', async () => {
  const { actor: ann } = await people.person('ann', 'operator');
  const issue = (name: string) => people.tokens.issue({ name, verbs: null, selector: '', expiresInSeconds: 100 }, ann);
  const [revoked, lapsing] = [await issue('revoked'), await issue('lapsing')];
  const [first, second] = [await people.actor(revoked.token), await people.actor(lapsing.token)];
  await people.tokens.revoke(revoked.id);
  expect(await people.principals.refresh(first)).toBeUndefined();
  expect(await people.principals.refresh(second)).toEqual(second);
  await people.control.clock.advance(100_000);
  expect(await people.principals.refresh(second)).toBeUndefined();
});

it('does not keep a failure: the next request asks again', async () => {
  const { session } = await people.person('ann', 'viewer');
  const { db } = people.control.parts;
  await db.updateTable('role_bindings').set({ selector: 'not a selector!' }).execute();
  await people.control.clock.advance(1_000);
  await expect(people.principals.bySecret(session)).rejects.toMatchObject({ code: 'invalid_request' });
  await db.updateTable('role_bindings').set({ selector: '' }).execute();
  expect(await people.principals.bySecret(session)).toBeDefined();
});
