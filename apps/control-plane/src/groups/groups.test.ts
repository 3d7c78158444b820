import { afterEach, beforeEach, expect, it } from 'vitest';
import { ADMIN, ControlPlaneFixture } from '../control-plane-fixture.ts';
import { Groups } from './groups.ts';

let control: ControlPlaneFixture;
let groups: Groups;
beforeEach(async () => {
  control = await ControlPlaneFixture.make();
  groups = new Groups({ ...control.parts, clock: control.clock });
});
afterEach(() => control[Symbol.asyncDispose]());

const LAB = { name: 'lab', selector: ' site=lab , !old ', description: 'the lab' };

it('keeps a selector under a name, in one way of writing, found by name and by id', async () => {
  const made = await groups.create(LAB, ADMIN);
  expect(made).toMatchObject({ name: 'lab', selector: 'site=lab,!old', description: 'the lab' });
  expect(await groups.find('lab')).toEqual(made);
  expect(await groups.find(made.id)).toEqual(made);
});

it('changes what is given, and nothing else', async () => {
  const { id } = await groups.create(LAB, ADMIN);
  expect(await groups.update(id, { selector: 'site=home' })).toMatchObject({ name: 'lab', selector: 'site=home' });
  expect(await groups.update(id, { name: 'home' })).toMatchObject({ name: 'home', description: 'the lab' });
});

it('has a name once', async () => {
  await groups.create(LAB, ADMIN);
  const { id } = await groups.create({ ...LAB, name: 'other' }, ADMIN);
  await expect(groups.create(LAB, ADMIN)).rejects.toMatchObject({ code: 'conflict' });
  await expect(groups.update(id, { name: 'lab' })).rejects.toMatchObject({ code: 'conflict' });
});

it('pages by name', async () => {
  for (const name of ['b', 'c', 'a']) await groups.create({ ...LAB, name }, ADMIN);
  const first = await groups.list(2, undefined);
  expect(first.map(({ name }) => name)).toEqual(['a', 'b']);
  expect(await groups.list(2, 'b')).toMatchObject([{ name: 'c' }]);
});

it('does not find what was removed, nor change it', async () => {
  const { id } = await groups.create(LAB, ADMIN);
  await groups.delete(id);
  await expect(groups.find(id)).rejects.toMatchObject({ code: 'group_not_found' });
  await expect(groups.update(id, {})).rejects.toMatchObject({ code: 'group_not_found' });
});

it('refuses a selector that is none', async () => {
  await expect(groups.create({ ...LAB, selector: 'site==' }, ADMIN)).rejects.toMatchObject({ code: 'invalid_request' });
});
