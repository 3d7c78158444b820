import { ControlError } from '@drawbridge/protocol';
import { eventually } from '@drawbridge/testkit';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ADMIN } from '../control-plane-fixture.ts';
import { authorise } from './authorise.ts';
import type { Actor } from './actor.ts';
import { PeopleFixture } from './people-fixture.ts';

const DEV = { kind: 'agent', agentId: 'a1', labels: { env: 'dev' } } as const;
const mayRead = (actor: Actor) => authorise(actor, 'task.read', DEV);

let people: PeopleFixture;
let stop: AbortController;
let running: Promise<void>;
beforeEach(async () => {
  people = await PeopleFixture.make();
  stop = new AbortController();
  running = people.access.run(stop.signal);
});
afterEach(async () => {
  stop.abort(new Error('the test is over'));
  await running;
  await people[Symbol.asyncDispose]();
});

async function aborted(signal: AbortSignal): Promise<unknown> {
  await eventually(() => signal.aborted, { what: 'the watched to end', until: (isOver) => isOver });
  return signal.reason;
}

it('ends what is open when the role that allowed it is taken away, without waiting for a clock', async () => {
  const { actor, user } = await people.person('ann', 'viewer', 'env=dev');
  using watched = people.access.watch(actor, mayRead);
  await people.users.update(user.id, { roles: [{ role: 'viewer', selector: 'env=prod' }] }, ADMIN);
  expect(await aborted(watched.signal)).toMatchObject({ code: 'agent_not_found' });
  expect(people.access.size).toBe(0);
});

it('ends it when the session, or the token, it came in with ends', async () => {
  const { actor, session } = await people.person('ann', 'viewer');
  const issued = await people.tokens.issue({ name: 'ci', verbs: null, selector: '', expiresInSeconds: 60 }, actor);
  using bySession = people.access.watch(actor, mayRead);
  using byToken = people.access.watch(await people.actor(issued.token), mayRead);
  await people.sessions.end(session);
  expect(await aborted(bySession.signal)).toMatchObject({ code: 'unauthenticated' });
  expect(byToken.signal.aborted).toBe(false);
  await people.tokens.revoke(issued.id);
  expect(await aborted(byToken.signal)).toMatchObject({ code: 'unauthenticated' });
});

it('lets go on what is still allowed', async () => {
  const { actor, user } = await people.person('ann', 'viewer');
  using watched = people.access.watch(actor, mayRead);
  await people.users.update(user.id, { roles: [{ role: 'operator', selector: '' }] }, ADMIN);
  await people.control.clock.advance(3_000);
  expect(watched.signal.aborted).toBe(false);
});

it('notices within a second what changed on another node, or lapsed', async () => {
  const { actor } = await people.person('ann', 'viewer');
  using watched = people.access.watch(actor, mayRead);
  await people.control.parts.db.deleteFrom('role_bindings').execute();
  await people.control.clock.advance(2_000);
  expect(await aborted(watched.signal)).toBeInstanceOf(ControlError);
});

it('takes nothing away because the store does not answer', async () => {
  const { actor } = await people.person('ann', 'viewer');
  using watched = people.access.watch(actor, mayRead);
  await people.control.parts.store.close();
  await people.control.clock.advance(3_000);
  expect(watched.signal.aborted).toBe(false);
  expect(people.access.size).toBe(1);
});

it('forgets what was closed', async () => {
  const { actor } = await people.person('ann', 'viewer');
  people.access.watch(actor, mayRead)[Symbol.dispose]();
  expect(people.access.size).toBe(0);
});
