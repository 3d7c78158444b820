import { writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ADMIN } from '../control-plane-fixture.ts';
import { firstStart } from './first-start.ts';
import { PeopleFixture } from './people-fixture.ts';

const PASSWORD = 'correct horse battery';

let people: PeopleFixture;
beforeEach(async () => {
  people = await PeopleFixture.make();
});
afterEach(() => people[Symbol.asyncDispose]());

async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'no error',
    (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error),
  );
}

it('makes the first admin once', async () => {
  expect(await people.users.find('root')).toMatchObject({ roles: [{ role: 'admin', selector: '' }] });
  expect(await codeOf(people.users.createFirst('second', PASSWORD))).toBe('conflict');
});

it('keeps names apart, and finds by id and by name', async () => {
  const { user } = await people.person('ann', 'viewer');
  expect(await people.users.find('ann')).toEqual(await people.users.find(user.id));
  expect(await codeOf(people.users.find('Ann'))).toBe('user_not_found');
  expect(await codeOf(people.users.create({ name: 'ann', password: undefined, roles: [] }, ADMIN))).toBe('conflict');
});

it('signs in by the right name and password, and nobody who is disabled', async () => {
  const made = await people.users.create({ name: 'ann', password: PASSWORD, roles: [] }, ADMIN);
  expect(await people.users.verify('ann', PASSWORD)).toMatchObject({ id: made.id });
  expect(await people.users.verify('ann', 'wrong horse battery')).toBeUndefined();
  expect(await people.users.verify('bob', PASSWORD)).toBeUndefined();
  expect(await people.users.verify('root', '')).toBeUndefined();
  await people.users.update(made.id, { disabled: true }, ADMIN);
  expect(await people.users.verify('ann', PASSWORD)).toBeUndefined();
});

it('changes a password only for who knows the old one, or never had one', async () => {
  const { user } = await people.person('ann', 'viewer');
  await people.users.changePassword(user.id, undefined, PASSWORD);
  expect(await codeOf(people.users.changePassword(user.id, undefined, 'another long password'))).toBe('forbidden');
  await people.users.changePassword(user.id, PASSWORD, 'another long password');
  expect(await people.users.verify('ann', 'another long password')).toBeDefined();
});

it('lets nobody give a role that can do more than they can', async () => {
  await people.roles.create(
    { name: 'keeper', description: '', verbs: ['admin.users', 'agent.read', 'account.self'] },
    ADMIN,
  );
  const { actor } = await people.person('ann', 'keeper');
  const wanted = (role: string) => ({ name: 'bob', password: undefined, roles: [{ role, selector: '' }] });
  expect(await codeOf(people.users.create(wanted('admin'), actor))).toBe('forbidden');
  expect(await codeOf(people.users.create(wanted('nothing'), actor))).toBe('role_not_found');
  await people.users.create(wanted('keeper'), actor);
});

it('lets nobody take over, strip or remove somebody who may do more than they', async () => {
  await people.roles.create({ name: 'keeper', description: '', verbs: ['admin.users'] }, ADMIN);
  const { actor } = await people.person('ann', 'keeper');
  const root = await people.users.find('root');
  expect(await codeOf(people.users.update(root.id, { password: PASSWORD }, actor))).toBe('forbidden');
  expect(await codeOf(people.users.update(root.id, { roles: [] }, actor))).toBe('forbidden');
  expect(await codeOf(people.users.delete(root.id, actor))).toBe('forbidden');
  expect(await codeOf(people.users.requireMayActAs(root, actor))).toBe('forbidden');
});

it('always leaves an admin of everything', async () => {
  const root = await people.users.find('root');
  expect(await codeOf(people.users.delete(root.id, ADMIN))).toBe('conflict');
  expect(await codeOf(people.users.update(root.id, { disabled: true }, ADMIN))).toBe('conflict');
  const scoped = { roles: [{ role: 'admin', selector: 'env=dev' }] };
  expect(await codeOf(people.users.update(root.id, scoped, ADMIN))).toBe('conflict');
  expect((await people.users.find('root')).roles).toEqual([{ role: 'admin', selector: '' }]);
  await people.person('second', 'admin');
  await people.users.delete(root.id, ADMIN);
});

it('leaves an admin of everything when all of them go at once', async () => {
  await people.person('second', 'admin');
  await people.person('third', 'admin');
  const ids = (await people.users.list(10, undefined)).map(({ id }) => id);
  await Promise.allSettled(ids.map((id) => people.users.delete(id, ADMIN)));
  expect(await people.users.list(10, undefined)).toHaveLength(1);
});

it('makes one first admin, however many try at once', async () => {
  await using empty = await PeopleFixture.makeEmpty();
  await Promise.allSettled(['one', 'two', 'three', 'four'].map((name) => empty.users.createFirst(name, undefined)));
  expect(await empty.users.list(10, undefined)).toHaveLength(1);
});

it('keeps each binding once, whatever way it was written', async () => {
  const roles = [
    { role: 'viewer', selector: ' env=dev , site=lab' },
    { role: 'viewer', selector: 'env=dev,site=lab' },
  ];
  const made = await people.users.create({ name: 'ann', password: undefined, roles }, ADMIN);
  expect(made.roles).toEqual([{ role: 'viewer', selector: 'env=dev,site=lab' }]);
});

it('removes a user with their sessions and tokens', async () => {
  const { user, session, actor } = await people.person('ann', 'operator');
  const { token } = await people.tokens.issue({ name: 'ci', verbs: null, selector: '', expiresInSeconds: 60 }, actor);
  await people.users.delete(user.id, ADMIN);
  expect(await people.principals.bySecret(session)).toBeUndefined();
  expect(await people.principals.bySecret(token)).toBeUndefined();
});

it('leaves the built-in roles as they are', async () => {
  for (const name of ['viewer', 'operator', 'admin']) {
    expect(await codeOf(people.roles.create({ name, description: '', verbs: [] }, ADMIN))).toBe('conflict');
    expect(await codeOf(people.roles.update(name, { verbs: [] }, ADMIN))).toBe('conflict');
    expect(await codeOf(people.roles.delete(name, ADMIN))).toBe('conflict');
  }
  expect((await people.roles.list()).map(({ name }) => name)).toEqual(['viewer', 'operator', 'admin']);
});

it('lets nobody make a role that can do more than they can', async () => {
  const { actor } = await people.person('ann', 'operator');
  expect(await codeOf(people.roles.create({ name: 'r', description: '', verbs: ['admin.users'] }, actor))).toBe(
    'forbidden',
  );
  await people.roles.create({ name: 'r', description: '', verbs: ['task.run'] }, actor);
  expect(await codeOf(people.roles.update('r', { verbs: ['docker.root'] }, actor))).toBe('forbidden');
});

it('lets nobody take from a role, or remove one, that can do more than they can', async () => {
  await people.roles.create({ name: 'r', description: '', verbs: ['task.run', 'docker.root'] }, ADMIN);
  const { actor } = await people.person('ann', 'operator');
  expect(await codeOf(people.roles.update('r', { verbs: ['task.run'] }, actor))).toBe('forbidden');
  expect(await codeOf(people.roles.delete('r', actor))).toBe('forbidden');
  await people.roles.delete('r', ADMIN);
});

it('does on the very first start what the bootstrap file says, and never again', async () => {
  const file = people.control.dir.join('token');
  await writeFile(file, `dbt_${'1'.repeat(32)}\n`);
  // There is an admin already.
  expect(await firstStart(people, file)).toBeUndefined();
  expect(await people.principals.bySecret(`dbt_${'1'.repeat(32)}`)).toBeUndefined();

  await using empty = await PeopleFixture.makeEmpty();
  expect(await firstStart(empty, file)).toBeUndefined();
  expect(await empty.actor(`dbt_${'1'.repeat(32)}`)).toMatchObject({ name: 'admin/bootstrap' });
});

it('offers a link to whoever becomes the first admin when there is no bootstrap file', async () => {
  await using empty = await PeopleFixture.makeEmpty();
  const code = await firstStart(empty, undefined);
  expect(empty.links.look(code ?? '')).toEqual({ kind: 'first-admin' });
});

it('refuses a bootstrap token that is easy to guess, without showing it, and makes nobody', async () => {
  await using empty = await PeopleFixture.makeEmpty();
  const file = people.control.dir.join('token');
  await writeFile(file, 'dbt_hunter2');
  const error: unknown = await firstStart(empty, file).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'invalid_request' });
  expect(String(error)).not.toContain('hunter2');
  expect(await empty.users.exist()).toBe(false);
});
