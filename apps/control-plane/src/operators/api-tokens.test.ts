import { afterEach, beforeEach, expect, it } from 'vitest';
import { PeopleFixture } from './people-fixture.ts';
import { SYSTEM } from './actor.ts';

let people: PeopleFixture;
beforeEach(async () => {
  people = await PeopleFixture.make();
});
afterEach(() => people[Symbol.asyncDispose]());

const WANTED = { name: 'ci', verbs: null, selector: '', expiresInSeconds: 600 } as const;

it('shows a token once, and keeps a hash of it only', async () => {
  const { actor } = await people.person('ann', 'viewer');
  const { token, ...view } = await people.tokens.issue(WANTED, actor);
  expect(token).toMatch(/^dbt_[0-9a-f]{32}_[A-Za-z0-9_-]{43}_[0-9a-f]{8}$/);
  expect(await people.tokens.find(view.id)).toEqual(view);
  const rows = await people.control.parts.db.selectFrom('api_tokens').selectAll().execute();
  expect(JSON.stringify(rows)).not.toContain(token.slice(37));
});

it('lets a token make tokens that can do less than it, never more', async () => {
  const { actor } = await people.person('ann', 'operator');
  const verbs = ['account.self', 'task.run'] as const;
  const narrow = await people.actor(
    (await people.tokens.issue({ ...WANTED, verbs, selector: 'env=dev' }, actor)).token,
  );
  await people.tokens.issue({ ...WANTED, verbs: ['task.run'], selector: 'env=dev,site=lab' }, narrow);
  for (const more of [
    { verbs: ['task.run'], selector: '' },
    { verbs: ['task.read'], selector: 'env=dev' },
    { verbs: null, selector: 'env=dev' },
  ] as const) {
    await expect(people.tokens.issue({ ...WANTED, ...more }, narrow)).rejects.toMatchObject({ code: 'forbidden' });
  }
});

it('lets a token make none that outlives it', async () => {
  const { actor } = await people.person('ann', 'operator');
  const verbs = ['account.self', 'task.run'] as const;
  const short = await people.actor((await people.tokens.issue({ ...WANTED, verbs }, actor)).token);
  const longer = { ...WANTED, verbs, expiresInSeconds: WANTED.expiresInSeconds + 1 };
  await expect(people.tokens.issue(longer, short)).rejects.toMatchObject({ code: 'forbidden' });
  await people.tokens.issue({ ...WANTED, verbs }, short);
});

it('makes none for whom it would belong to nobody', async () => {
  await expect(people.tokens.issue(WANTED, SYSTEM)).rejects.toMatchObject({ code: 'forbidden' });
});

it('revokes at once and for good', async () => {
  const { actor } = await people.person('ann', 'viewer');
  const { token, id } = await people.tokens.issue(WANTED, actor);
  expect(await people.principals.bySecret(token)).toBeDefined();
  await people.tokens.revoke(id);
  expect(await people.principals.bySecret(token)).toBeUndefined();
  expect(await people.tokens.find(id)).toMatchObject({ revoked: true });
  await expect(people.tokens.revoke('01a1fef2-0000-7000-8000-000000000000')).rejects.toMatchObject({
    code: 'token_not_found',
  });
});

it('lists the newest first, page by page, of one user or of all', async () => {
  const { actor } = await people.person('ann', 'viewer');
  const { actor: other } = await people.person('bob', 'viewer');
  const ids: string[] = [];
  for (const name of ['a', 'b', 'c']) ids.unshift((await people.tokens.issue({ ...WANTED, name }, actor)).id);
  const others = await people.tokens.issue(WANTED, other);
  const first = await people.tokens.list(2, undefined, actor.userId);
  expect(first.map(({ id }) => id)).toEqual(ids.slice(0, 2));
  expect((await people.tokens.list(2, first[1]?.id, actor.userId)).map(({ id }) => id)).toEqual(ids.slice(2));
  expect((await people.tokens.list(10, undefined, undefined)).map(({ id }) => id)).toEqual([others.id, ...ids]);
});
