import { sql } from 'kysely';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { BACKUP_TABLE_NAMES } from '../store/backup-tables.ts';
import { IDLE_MS, PeopleFixture } from './people-fixture.ts';
import { Principals } from './principals.ts';
import { newSecret } from './secrets.ts';

let people: PeopleFixture;
beforeEach(async () => {
  people = await PeopleFixture.make();
});
afterEach(() => people[Symbol.asyncDispose]());

const BY = { label: 'a browser', method: 'link', address: '192.0.2.1' } as const;

it('keeps no secret of a session in the store, and yet lets it in after a restart', async () => {
  const { user, session } = await people.person('ann', 'viewer');
  expect(session).toMatch(/^dbs_[A-Za-z0-9_-]{43}$/);
  await people.control.restart();
  const { db, bus } = people.control.parts;
  const successor = new Principals({ db, bus, clock: people.control.clock, sessionIdleMs: IDLE_MS });
  expect(await successor.bySecret(session)).toMatchObject({ kind: 'user', id: user.id, name: 'ann' });
  expect(await successor.bySecret(`dbs_${newSecret()}`)).toBeUndefined();
  const stored = await everythingStored();
  expect(stored).toContain(user.id);
  expect(stored).not.toContain(session.slice('dbs_'.length));
});

it('shows a user their own sessions, and which one asks', async () => {
  const { user, session } = await people.person('ann', 'viewer');
  await people.control.clock.advance(1);
  const { token } = await people.sessions.open(user.id, BY);
  await people.person('bob', 'viewer');
  expect(await people.sessions.list(user.id, token)).toMatchObject([
    { label: 'a browser', method: 'link', address: '192.0.2.1', current: true },
    { label: 'a test', current: false },
  ]);
  expect((await people.sessions.list(user.id, session)).map(({ current }) => current)).toEqual([false, true]);
});

it('ends one, by its own token or by its id, of its own user only', async () => {
  const { user, session } = await people.person('ann', 'viewer');
  const { user: other } = await people.person('bob', 'viewer');
  const [shown] = await people.sessions.list(user.id, undefined);
  await expect(people.sessions.endOne(other.id, shown?.id ?? '')).rejects.toMatchObject({ code: 'session_not_found' });
  expect(await people.principals.bySecret(session)).toBeDefined();
  await people.sessions.endOne(user.id, shown?.id ?? '');
  expect(await people.principals.bySecret(session)).toBeUndefined();
  const { token } = await people.sessions.open(user.id, BY);
  await people.sessions.end(token);
  expect(await people.principals.bySecret(token)).toBeUndefined();
});

it('signs out everywhere, or everywhere but here', async () => {
  const { user, session } = await people.person('ann', 'viewer');
  const { token } = await people.sessions.open(user.id, BY);
  const { session: others } = await people.person('bob', 'viewer');
  expect(await people.sessions.endAll(user.id, token)).toBe(1);
  expect(await people.principals.bySecret(session)).toBeUndefined();
  expect(await people.principals.bySecret(token)).toBeDefined();
  expect(await people.sessions.endAll(user.id)).toBe(1);
  expect(await people.principals.bySecret(token)).toBeUndefined();
  expect(await people.principals.bySecret(others)).toBeDefined();
});

it('voids what would let somebody in again: a link, and a yes to a command line', async () => {
  const { user } = await people.person('ann', 'viewer');
  const { user: other } = await people.person('bob', 'viewer');
  const code = people.links.issue({ kind: 'user', userId: user.id });
  const others = people.links.issue({ kind: 'user', userId: other.id });
  const { id, pollSecret } = people.loginRequests.create('a laptop', null);
  people.loginRequests.answer(id, 'approve', user.id);
  await people.sessions.endAll(user.id);
  expect(people.links.look(code)).toBeUndefined();
  expect(people.links.look(others)).toBeDefined();
  expect(() => people.loginRequests.poll(id, pollSecret)).toThrow(
    expect.objectContaining({ code: 'login_request_not_found' }),
  );
});

it('shows when a user was here last', async () => {
  const { user } = await people.person('ann', 'viewer');
  expect((await people.users.find(user.id)).last_sign_in_at).toBe(new Date(people.control.clock.now()).toISOString());
});

/** Every value of every table, as text. */
async function everythingStored(): Promise<string> {
  const { db } = people.control.parts;
  const select = (table: string) => sql<Record<string, unknown>>`select * from ${sql.table(table)}`.execute(db);
  const texts = (await Promise.all(BACKUP_TABLE_NAMES.map(select)))
    .flatMap(({ rows }) => rows)
    .flatMap((row) => Object.values(row))
    .map((value) => (value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : String(value)));
  return texts.join('\n');
}
