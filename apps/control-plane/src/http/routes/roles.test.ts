import { afterEach, beforeEach, expect, it } from 'vitest';
import { RightsWorld } from '../../rights-world-fixture.ts';

let world: RightsWorld;
beforeEach(async () => {
  world = await RightsWorld.make();
});
afterEach(() => world[Symbol.asyncDispose]());

it.each(['r'.repeat(43), 'dba_12345678'])('makes no role whose name a record would leave out: %s', async (name) => {
  const { users, sessions } = world.nouns;
  const { id } = await users.find('root');
  const { token } = await sessions.open(id, { label: 'a test', method: 'password', address: null });
  const answer = await world.app.inject({
    method: 'POST',
    url: '/api/v1/roles',
    headers: { host: '127.0.0.1:7400', authorization: `Bearer ${token}` },
    payload: { name, verbs: ['docker.root'] },
  });
  expect(answer.statusCode).toBe(422);
});
